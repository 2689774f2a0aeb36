#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

// Seconds until the job is due, rounded down.
int pause(const Bench& bench) {
  return std::stoi(bench.job("floor(extract(epoch FROM due_at - statement_timestamp()) + 0.5)::int"));
}

void lose_once(Bench& bench) {
  bench.make_due();
  bench.claim_one();
  const auto next = bench.worker.begin_run(1, "test", token_of(1)).run_id;
  REQUIRE(bench.worker.recover(next) == 1);
  bench.run = next;
}

}  // namespace

TEST_CASE("a run after a crash ends the leases of its own instance, with telemetry, and no others") {
  Bench bench;
  bench.publish("mine", {}, "s1");
  bench.claim_one();
  bench.publish("other", {}, "s2");
  Worker other(bench.options("host-b"));
  other.claim(other.begin_run(2, "test", token_of(2)).run_id, 1);

  const auto begun = bench.worker.begin_run(3, "test", token_of(3));
  CHECK_FALSE(begun.previous_clean);
  CHECK(bench.worker.recover(begun.run_id) == 1);
  CHECK(bench.state("mine") == "pending");
  CHECK(bench.state("other") == "running");
  CHECK(bench.db.sql("SELECT host || ' ' || archive || ' ' || outcome || ' ' || run_id FROM zipmodule.telemetry") ==
        "host-a mine lost " + std::to_string(bench.run));
  CHECK(bench.worker.recover(begun.run_id) == 0);
}

TEST_CASE("a run leaves the leases it claimed itself alone") {
  Bench bench;
  bench.publish("a");
  bench.claim_one();
  CHECK(bench.worker.recover(bench.run) == 0);
  CHECK(bench.state() == "running");
}

TEST_CASE("a run that was finished is a clean one") {
  Bench bench;
  bench.worker.finish_run(bench.run, {5, 4, 1, "failed"});
  CHECK(bench.worker.begin_run(2, "test", token_of(2)).previous_clean);
  CHECK(bench.db.sql("SELECT claimed || ' ' || done || ' ' || failed || ' ' || outcome FROM zipmodule.run "
                     "ORDER BY run_id LIMIT 1") == "5 4 1 failed");
}

TEST_CASE("after two losses at once the pause grows, and after four times max_attempts the job is failed") {
  Bench bench;  // max_attempts 3
  bench.publish("a");
  lose_once(bench);
  CHECK(pause(bench) <= 0);
  lose_once(bench);
  CHECK(pause(bench) <= 0);
  for (int loss = 3; loss < 12; ++loss) {
    lose_once(bench);
    CHECK(pause(bench) >= 5 * (loss - 2));
    CHECK(pause(bench) <= 6 * (loss - 2) + 1);
    CHECK(bench.state() == "waiting");
  }
  lose_once(bench);
  CHECK(bench.state() == "failed");
  CHECK(bench.job("last_error_kind || ' ' || losses") == "lease_lost 12");
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.telemetry WHERE outcome = 'lost'") == "12");
  bench.make_due();
  CHECK(bench.worker.claim(bench.run, 1).empty());
}

TEST_CASE("an expired lease is taken over by any instance, which notes the loss of the former holder") {
  Bench bench;
  bench.publish("a");
  const auto former = bench.claim_one();
  bench.let_leases_expire();
  CHECK(bench.state() == "pending");
  Worker other(bench.options("host-b"));
  const auto jobs = other.claim(other.begin_run(2, "test", token_of(2)).run_id, 5);
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].lease.token == former.lease.token + 1);
  CHECK(jobs[0].attempt == 2);
  CHECK(
      bench.db.sql("SELECT host || ' ' || outcome || ' ' || attempt || ' ' || lease_token FROM zipmodule.telemetry") ==
      "host-a lost 1 " + std::to_string(former.lease.token));
}

TEST_CASE("an expired poison job is failed instead of being claimed, and hides no other due job") {
  Bench bench;
  bench.publish("a", {{"priority", "1"}});
  bench.claim_one();
  bench.let_leases_expire();
  bench.db.sql("UPDATE zipmodule.job SET losses = 11");
  bench.publish("b");
  const auto jobs = bench.worker.claim(bench.run, 1);
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].archive == "b");
  CHECK(bench.state("a") == "failed");
}

TEST_CASE("publish, success and retry forgive losses") {
  Bench bench;
  bench.publish("a");
  const auto losses_set = [&] { bench.db.sql("UPDATE zipmodule.job SET losses = 5"); };
  losses_set();
  bench.publish("a");
  CHECK(bench.job("losses") == "0");
  losses_set();
  Publisher(bench.db.options()).cancel("s", "a");
  Publisher(bench.db.options()).retry("s", "a");
  CHECK(bench.job("losses") == "0");
  losses_set();
  build_next(bench, 1);
  CHECK(bench.job("losses") == "0");
}

TEST_CASE("what is built and only lost before its link is never failed") {
  Bench bench;
  bench.publish("a");
  bench.worker.commit(bench.run, {completion_of(bench.claim_one().lease, 1)});
  bench.db.sql("UPDATE zipmodule.job SET losses = 50");
  CHECK(bench.worker.recover(bench.worker.begin_run(1, "test", token_of(1)).run_id) == 1);
  CHECK(bench.state() == "waiting");
}
