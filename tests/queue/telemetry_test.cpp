#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

void build_with_measurements(Bench& bench, int number) {
  const Lease lease = bench.claim_one().lease;
  bench.db.sql(
      "UPDATE zipmodule.job SET lease_published_at = lease_published_at - interval '100 seconds', "
      "lease_claimed_at = lease_claimed_at - interval '50 seconds'");
  auto completion = completion_of(lease, number);
  auto& measured = completion.attempt.measured;
  measured.build_seconds = 3;
  measured.plan_seconds = 0.5;
  measured.read_seconds = 1;
  measured.compress_seconds = 2;
  measured.write_seconds = 0.25;
  measured.sync_seconds = 0.125;
  measured.commit_seconds = 1;
  measured.cpu_seconds = 2.5;
  measured.files = 10;
  measured.files_reused = 4;
  measured.files_missing = 1;
  measured.files_excluded = 3;
  measured.bytes_in = 5'000'000'000;
  measured.bytes_out = 4'000'000'000;
  completion.attempt.missing = {"media:gone.txt"};
  REQUIRE(bench.worker.commit(bench.run, {completion}) == std::vector<bool>{true});
  REQUIRE(bench.worker.release({lease}) == std::vector<bool>{true});
}

}  // namespace

TEST_CASE("the times of an attempt stand in their order and add up to the total") {
  Bench bench;
  bench.publish("a");
  build_with_measurements(bench, 1);
  CHECK(bench.db.sql("SELECT published_at < claimed_at AND claimed_at < started_at AND started_at < finished_at "
                     "FROM zipmodule.telemetry") == "t");
  CHECK(bench.db.sql("SELECT abs(wait_seconds + build_seconds + commit_seconds - total_seconds) < 0.001 "
                     "AND total_seconds >= 100 AND total_seconds < 130 FROM zipmodule.telemetry") == "t");
  CHECK(bench.db.sql("SELECT abs(extract(epoch FROM finished_at - started_at) - 4) < 0.001 FROM zipmodule.telemetry") ==
        "t");
}

TEST_CASE("telemetry keeps every measurement of the attempt") {
  Bench bench;
  bench.publish("a");
  build_with_measurements(bench, 1);
  CHECK(bench.db.sql(
            "SELECT concat_ws(' ', outcome, plan_seconds, read_seconds, compress_seconds, write_seconds, "
            "sync_seconds, commit_seconds, cpu_seconds, files, files_reused, files_missing, bytes_in, bytes_out, "
            "files_excluded, missing, revision, attempt, host, series, archive) FROM zipmodule.telemetry") ==
        "done 0.5 1 2 0.25 0.125 1 2.5 10 4 1 5000000000 4000000000 3 [\"media:gone.txt\"] 1 1 host-a s a");
  CHECK(bench.db.sql("SELECT run_id FROM zipmodule.telemetry") == std::to_string(bench.run));
}

TEST_CASE("an attempt can't have begun before its claim, whatever the worker measured") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  auto completion = completion_of(lease, 1);
  completion.attempt.measured.build_seconds = 1e6;
  bench.worker.commit(bench.run, {completion});
  CHECK(bench.db.sql("SELECT started_at = claimed_at FROM zipmodule.telemetry") == "t");
}

TEST_CASE("a republish during the build does not change when the built revision was published") {
  Bench bench;
  bench.publish("a");
  const std::string published_at = bench.job("published_at");
  const Lease lease = bench.claim_one().lease;
  bench.publish("a");
  bench.worker.commit(bench.run, {completion_of(lease, 1)});
  CHECK(bench.db.sql("SELECT published_at FROM zipmodule.telemetry") == published_at);
  CHECK(bench.db.sql("SELECT revision FROM zipmodule.telemetry") == "1");
}

TEST_CASE("the daily view counts outcomes and sums what was built") {
  Bench bench;
  for (int i = 1; i <= 2; ++i) {
    bench.publish("a");
    build_with_measurements(bench, i);
  }
  bench.publish("a");
  bench.worker.fail(bench.run, {failure_of(bench.claim_one().lease)});
  bench.db.sql(
      "UPDATE zipmodule.telemetry SET total_seconds = 10 WHERE id = (SELECT min(id) FROM zipmodule.telemetry)");
  bench.db.sql(
      "UPDATE zipmodule.telemetry SET total_seconds = 20 WHERE id = (SELECT min(id) + 1 FROM zipmodule.telemetry)");
  CHECK(bench.db.sql("SELECT concat_ws(' ', attempts, done, failed, retry, median_seconds, p95_seconds, bytes, files) "
                     "FROM zipmodule.telemetry_daily") == "3 2 0 1 15 19.5 8000000000 20");
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.telemetry_slowest") == "3");
}

TEST_CASE("prune removes telemetry and runs by age") {
  Bench bench;
  bench.publish("a");
  build_with_measurements(bench, 1);
  CHECK(bench.db.sql("SELECT zipmodule.prune('1 day')") == "0");
  bench.db.sql("UPDATE zipmodule.telemetry SET finished_at = finished_at - interval '2 days'");
  CHECK(bench.db.sql("SELECT zipmodule.prune('1 day')") == "1");
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.run") == "1");
}
