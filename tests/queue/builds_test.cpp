#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;
using namespace std::chrono_literals;

namespace {

const std::string k_one = "00000000000000000000000000000001";
const std::string k_two = "00000000000000000000000000000002";

void age_retired(const Bench& bench) {
  bench.db.sql("UPDATE zipmodule.build SET retired_at = retired_at - interval '2 days'");
}

}  // namespace

TEST_CASE("the current build of a job is the one committed last") {
  Bench bench;
  const auto job_id = bench.publish("a").job_id;
  CHECK_FALSE(bench.worker.current(job_id).has_value());
  build_next(bench, 1);
  bench.publish("a");
  build_next(bench, 2);
  const auto current = bench.worker.current(job_id);
  REQUIRE(current.has_value());
  CHECK(current->build.build_id == k_two);
  CHECK(current->series == "s");
  CHECK(current->archive == "a");
  CHECK(bench.db.sql("SELECT string_agg((retired_at IS NOT NULL)::text, ' ' ORDER BY build_id) FROM zipmodule.build") ==
        "true false");
}

TEST_CASE("a sweep learns which builds the database knows, whatever names it asks for") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  CHECK(bench.worker.known_builds({k_two, k_one, "", "with \"quote\\ and, comma}"}) == std::vector<std::string>{k_one});
  CHECK(bench.worker.known_builds({}).empty());
}

TEST_CASE("an audit pages through the current builds of its own instance and keeps its place") {
  Bench bench;
  for (int i = 1; i <= 3; ++i) {
    bench.publish("a" + std::to_string(i));
    build_next(bench, i);
  }
  bench.publish("a1");
  build_next(bench, 4);  // replaces build 1
  const auto first = bench.worker.builds_after("", 2);
  REQUIRE(first.size() == 2);
  CHECK(first[0].build.build_id == k_two);
  const auto rest = bench.worker.builds_after(first[1].build.build_id, 2);
  REQUIRE(rest.size() == 1);
  CHECK(rest[0].archive == "a1");

  CHECK(bench.worker.audit_cursor().empty());
  bench.worker.set_audit_cursor(k_two);
  CHECK(bench.worker.audit_cursor() == k_two);
  Worker other(bench.options("host-b"));
  CHECK(other.builds_after("", 10).empty());
  CHECK(other.audit_cursor().empty());
}

TEST_CASE("a build found damaged is forgotten and its job built again") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  CHECK(bench.worker.forget_build(bench.run, k_one, "damaged: size differs") == Forgotten::rebuilds);
  CHECK(bench.state() == "pending");
  CHECK(bench.job("last_error") == "damaged: size differs");
  CHECK(bench.worker.forget_build(bench.run, k_one, "again") == Forgotten::no);
  const auto job = bench.claim_one();
  CHECK(job.lease.revision == 1);
  CHECK(job.built_revision == 0);
  CHECK_FALSE(job.current.has_value());
  CHECK(bench.worker.commit(bench.run, {completion_of(job.lease, 2)}) == std::vector<bool>{true});
  CHECK(bench.worker.release({job.lease}) == std::vector<bool>{true});
  CHECK(bench.state() == "done");
}

TEST_CASE("a build that an audit found damaged is a row of telemetry without a lease, and no attempt of the day") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  bench.publish("a");
  const auto job = bench.claim_one();
  CHECK(bench.worker.forget_build(bench.run, k_one, "it is gone") == Forgotten::rebuilds);
  CHECK(bench.db.sql("SELECT concat_ws(' ', outcome, error_kind, error, revision, host, run_id, attempt, lease_token, "
                     "published_at, claimed_at) FROM zipmodule.telemetry WHERE outcome <> 'done'") ==
        fmt::format("retry corrupt it is gone 1 host-a {}", bench.run));
  CHECK(bench.db.sql("SELECT concat_ws(' ', attempts, done, retry, damaged) FROM zipmodule.telemetry_daily") ==
        "1 1 0 1");
  // Whoever builds a newer revision at this moment goes on.
  CHECK(bench.worker.commit(bench.run, {completion_of(job.lease, 2)}) == std::vector<bool>{true});
}

TEST_CASE("a build that a claim found damaged is that attempt's row") {
  Bench bench;
  bench.publish("a");
  const Lease first = bench.claim_one().lease;
  bench.worker.commit(bench.run, {completion_of(first, 1)});
  bench.let_leases_expire();
  const Lease lease = bench.claim_one().lease;
  Attempt attempt = attempt_at(lease);
  attempt.error_kind = "corrupt";
  CHECK(bench.worker.forget_build(bench.run, k_one, attempt) == Forgotten::rebuilds);
  bench.worker.give_back(bench.run, {attempt});
  CHECK(bench.db.sql("SELECT string_agg(concat_ws(' ', outcome, error_kind, attempt), ', ' ORDER BY id) FROM "
                     "zipmodule.telemetry") == "done 1, retry corrupt 2");
  CHECK(bench.state() == "pending");
}

TEST_CASE("a damaged build of a job that an open publish has locked is left, without waiting") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  Session publisher(bench.db);
  publisher.sql("BEGIN");
  publisher.sql("SELECT zipmodule.publish('s', 'a', '[{\"source\": \"x\"}]')");
  CHECK(bench.worker.forget_build(bench.run, k_one, "gone") == Forgotten::no);
  publisher.sql("COMMIT");
  CHECK(bench.worker.forget_build(bench.run, k_one, "gone") == Forgotten::rebuilds);
}

TEST_CASE("what is wrong with a build is stored whatever bytes its own names have") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  CHECK(bench.worker.forget_build(bench.run, k_one, std::string("entry '\xff\0' is damaged", 21)) ==
        Forgotten::rebuilds);
  CHECK(bench.job("last_error") == "entry '\xEF\xBF\xBD\xEF\xBF\xBD' is damaged");
}

TEST_CASE("a build that was replaced meanwhile is not worth forgetting") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  bench.publish("a");
  build_next(bench, 2);
  CHECK(bench.worker.forget_build(bench.run, k_one, "damaged") == Forgotten::no);
  CHECK(bench.outcomes() == "done done");
  CHECK(bench.state() == "done");
}

TEST_CASE("a build found good keeps its new modification time") {
  Bench bench;
  const auto job_id = bench.publish("a").job_id;
  build_next(bench, 1);
  bench.worker.note_mtime(k_one, 42);
  CHECK(bench.worker.current(job_id)->build.mtime_ns == 42);
}

TEST_CASE("garbage is what was retired longer than the grace ago, by this instance") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  bench.publish("a");
  build_next(bench, 2);
  CHECK(bench.worker.collect_garbage(24h, 10).empty());
  age_retired(bench);
  CHECK(Worker(bench.options("host-b")).collect_garbage(24h, 10).empty());
  const auto garbage = bench.worker.collect_garbage(24h, 10);
  REQUIRE(garbage.size() == 1);
  CHECK(garbage[0].build.build_id == k_one);
  CHECK(garbage[0].archive == "a");
  // A run that died after marking: the next one gets it again.
  CHECK(bench.worker.collect_garbage(24h, 10).size() == 1);
  bench.worker.remove_builds({k_one, k_two});
  CHECK(bench.db.sql("SELECT string_agg(build_id, ' ') FROM zipmodule.build") == k_two);
}

TEST_CASE("an old build stays while the newer one is not linked yet") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  bench.worker.commit(bench.run, {completion_of(lease, 2)});
  age_retired(bench);
  CHECK(bench.worker.collect_garbage(24h, 10).empty());
  bench.worker.release({lease});
  CHECK(bench.worker.collect_garbage(24h, 10).size() == 1);
}

TEST_CASE("a build that an audit has forgotten meanwhile can't become current again by an unchanged republish") {
  Bench bench;
  bench.publish("a");
  build_next(bench, 1);
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  CHECK(bench.worker.forget_build(bench.run, k_one, "damaged") == Forgotten::rebuilds);
  // What it found unchanged before the audit had spoken.
  CHECK(bench.worker.commit(bench.run, {completion_of(lease, 1)}) == std::vector<bool>{false});
  CHECK(bench.job("build_id IS NULL") == "t");
  CHECK(bench.db.sql("SELECT retired_at IS NOT NULL FROM zipmodule.build") == "t");
}

TEST_CASE("a job that somebody removes takes its builds along, and nobody else's") {
  Bench bench;
  for (const auto* archive : {"a", "b"}) bench.publish(archive);
  build_next(bench, 1);
  build_next(bench, 2);
  bench.db.sql("DELETE FROM zipmodule.job WHERE archive = 'a'");
  CHECK(bench.worker.known_builds({k_one, k_two}) == std::vector<std::string>{k_two});
}
