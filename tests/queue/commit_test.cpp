#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

using Answers = std::vector<bool>;

TEST_CASE("a job is done only after its link was released, and running until then") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  CHECK(bench.worker.commit(bench.run, {completion_of(lease, 7)}) == Answers{true});
  CHECK(bench.state() == "running");
  CHECK(bench.job("pending") == "t");
  CHECK(bench.worker.release({lease}) == Answers{true});
  CHECK(bench.state() == "done");
  CHECK(bench.db.sql("SELECT path || ' ' || bytes || ' ' || entries || ' ' || progress FROM zipmodule.job_status") ==
        "builds/00/00000000000000000000000000000007.zip 1000 3 1");
  CHECK(bench.worker.claim(bench.run, 1).empty());
}

TEST_CASE("a commit told twice, as after a lost answer, is stored once and answered true twice") {
  Bench bench;
  bench.publish("a");
  const auto completion = completion_of(bench.claim_one().lease, 1);
  CHECK(bench.worker.commit(bench.run, {completion}) == Answers{true});
  CHECK(bench.worker.commit(bench.run, {completion}) == Answers{true});
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.build") == "1");
  CHECK(bench.outcomes() == "done");
}

TEST_CASE("of two completions of one lease in one batch the second is settled in the next round") {
  Bench bench;
  bench.publish("a");
  const auto completion = completion_of(bench.claim_one().lease, 1);
  CHECK(bench.worker.commit(bench.run, {completion, completion}) == Answers{true, false});
  CHECK(bench.worker.left_busy() == Answers{false, true});
  CHECK(bench.worker.commit(bench.run, {completion}) == Answers{true});
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.build") == "1");
  CHECK(bench.outcomes() == "done");
}

TEST_CASE("a second build under the same lease is refused") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  bench.worker.commit(bench.run, {completion_of(lease, 1)});
  CHECK(bench.worker.commit(bench.run, {completion_of(lease, 2)}) == Answers{false});
  CHECK(bench.db.sql("SELECT string_agg(build_id, ' ') FROM zipmodule.build") == "00000000000000000000000000000001");
}

TEST_CASE("a republish during a build is built after it") {
  Bench bench;
  bench.publish("a");
  const Lease first = bench.claim_one().lease;
  bench.publish("a");
  CHECK(bench.worker.claim(bench.run, 1).empty());
  CHECK(bench.worker.commit(bench.run, {completion_of(first, 1)}) == Answers{true});
  CHECK(bench.worker.release({first}) == Answers{true});
  CHECK(bench.state() == "pending");
  const auto second = bench.claim_one();
  CHECK(second.lease.revision == 2);
  CHECK(second.attempt == 1);
  REQUIRE(second.current.has_value());
  CHECK(second.current->build_id == "00000000000000000000000000000001");
  CHECK(second.current->mtime_ns == 1'700'000'000'000'000'001);
}

TEST_CASE("a lease that ran out but was not taken over may still commit") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  bench.let_leases_expire();
  CHECK(bench.worker.commit(bench.run, {completion_of(lease, 1)}) == Answers{true});
  CHECK(bench.worker.release({lease}) == Answers{true});
  CHECK(bench.state() == "done");
}

TEST_CASE("a cancel during a build is learned by heartbeat and commit, and stores nothing") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  CHECK(Publisher(bench.db.options()).cancel("s", "a"));
  CHECK(bench.worker.extend({{lease, 0.5}}) == std::vector<LeaseState>{LeaseState::cancelled});
  CHECK(bench.worker.commit(bench.run, {completion_of(lease, 1)}) == Answers{false});
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.build") == "0");
  CHECK(bench.db.sql("SELECT outcome || ' ' || error_kind || ' ' || attempt FROM zipmodule.telemetry") ==
        "cancelled cancelled 1");
  CHECK(bench.state() == "cancelled");
}

TEST_CASE("a crash between commit and link leaves a job that is claimed again only for its link") {
  Bench bench;
  bench.publish("a");
  bench.worker.commit(bench.run, {completion_of(bench.claim_one().lease, 1)});
  const auto next_run = bench.run = bench.worker.begin_run(2, "test", token_of(2)).run_id;
  CHECK(bench.worker.recover(next_run) == 1);
  CHECK(bench.outcomes() == "done");
  CHECK(bench.state() == "pending");
  const auto again = bench.claim_one();
  CHECK(again.built_revision == again.lease.revision);
  REQUIRE(again.current.has_value());
  CHECK(bench.worker.release_unbuilt(next_run, {attempt_at(again.lease)}) == Answers{true});
  CHECK(bench.state() == "done");
  CHECK(bench.outcomes() == "done skipped");
}

TEST_CASE("a run that its database no longer knows as the newest claims nothing: an older dump was restored") {
  Bench bench;
  bench.publish("a");
  bench.db.sql("UPDATE zipmodule.instance SET run_id = run_id - 1");
  CHECK(bench.worker.claim(bench.run, 1).empty());
  CHECK(bench.state() == "pending");
  bench.db.sql("UPDATE zipmodule.instance SET run_id = run_id + 1");
  CHECK(bench.worker.claim(bench.run, 1).size() == 1);
}

TEST_CASE("a job that only wants its link can't be cancelled or given up") {
  Bench bench;
  bench.publish("a");
  bench.worker.commit(bench.run, {completion_of(bench.claim_one().lease, 1)});
  Publisher publisher(bench.db.options());
  CHECK_FALSE(publisher.cancel("s", "a"));
  bench.let_leases_expire();
  for (int i = 0; i < 4; ++i) {
    bench.make_due();
    auto failure = failure_of(bench.claim_one().lease, "store_unwritable");
    failure.retryable = false;
    CHECK(bench.worker.fail(bench.run, {failure}) == Answers{true});
    CHECK(bench.state() == "waiting");
  }
  bench.make_due();
  CHECK(bench.worker.release_unbuilt(bench.run, {attempt_at(bench.claim_one().lease)}) == Answers{true});
  CHECK(bench.state() == "done");
}

TEST_CASE("a cancel between commit and link of the revision before leaves the link to be made") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  bench.worker.commit(bench.run, {completion_of(lease, 1)});
  bench.publish("a");
  CHECK(Publisher(bench.db.options()).cancel("s", "a"));

  SECTION("by the worker that holds it") {
    CHECK(bench.worker.release({lease}) == Answers{true});
    CHECK(bench.state() == "cancelled");
  }
  SECTION("or by the next one, if it crashed") {
    bench.let_leases_expire();
    const auto again = bench.claim_one();
    CHECK(again.lease.revision == 1);
    CHECK(again.built_revision == 1);
    CHECK(bench.worker.release_unbuilt(bench.run, {attempt_at(again.lease)}) == Answers{true});
    CHECK(bench.state() == "cancelled");
  }
  CHECK(bench.worker.claim(bench.run, 1).empty());
}

TEST_CASE("a batch stores what is held and answers each in its place") {
  Bench bench;
  for (const char* series : {"s1", "s2", "s3"}) bench.publish("a", {}, series);
  const auto jobs = bench.worker.claim(bench.run, 3);
  Lease stale = jobs[1].lease;
  stale.token += 5;
  const std::vector<Completion> batch{completion_of(jobs[2].lease, 1), completion_of(stale, 2),
                                      completion_of(jobs[0].lease, 3)};
  CHECK(bench.worker.commit(bench.run, batch) == Answers{true, false, true});
  CHECK(bench.worker.release({jobs[1].lease, jobs[0].lease, stale}) == Answers{true, true, false});
  CHECK(bench.worker.commit(bench.run, {}).empty());
}

TEST_CASE("a job that is gone is nobody's any more, and not taken for one that a publisher has locked") {
  Bench bench;
  bench.publish("a");
  bench.publish("b");
  const auto jobs = bench.worker.claim(bench.run, 2);
  REQUIRE(jobs.size() == 2);
  bench.db.sql("DELETE FROM zipmodule.job WHERE archive = 'a'");
  std::vector<Completion> completions;
  for (const auto& job : jobs) completions.push_back(completion_of(job.lease, static_cast<int>(job.lease.job_id)));
  CHECK(bench.worker.commit(bench.run, completions) == Answers{jobs[0].archive == "b", jobs[1].archive == "b"});
  CHECK(bench.worker.left_busy() == Answers{false, false});
}
