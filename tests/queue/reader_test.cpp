#include <nlohmann/json.hpp>

#include "queue/fixture.hpp"
#include "queue/reader.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

TEST_CASE("status lists all jobs, those of a series, or one") {
  Bench bench;
  bench.publish("b", {}, "s2");
  bench.publish("b", {}, "s1");
  bench.publish("a", {}, "s1");
  Reader reader(bench.db.options());
  const auto all = reader.status(std::nullopt, std::nullopt);
  REQUIRE(all.size() == 3);
  CHECK(all[0].series + all[0].archive == "s1a");
  CHECK(all[2].queue_position == 1);
  CHECK(reader.status("s1", std::nullopt).size() == 2);
  CHECK(reader.status("s1", "a").size() == 1);
  CHECK(reader.status("s1", "c").empty());
  CHECK(reader.status(std::nullopt, std::nullopt, 2).size() == 2);
}

TEST_CASE("the function status and the view job_status say the same of every job") {
  Bench bench;
  for (int i = 0; i < 4; ++i) {
    const std::string number = std::to_string(i);
    bench.publish("a" + number, {{"priority", std::to_string(i % 2)}}, "s");
    bench.publish("b" + number, {{"priority", std::to_string(i % 2)}}, "t");
  }
  build_next(bench, 1);
  bench.claim_one();
  bench.publish("w", {{"quiet", "1 hour"}});
  CHECK(bench.db.sql("SELECT count(*) FROM (SELECT * FROM zipmodule.job_status EXCEPT SELECT s.* FROM zipmodule.job, "
                     "zipmodule.status(job.series, job.archive) s) AS differing") == "0");
  CHECK(bench.db.sql("SELECT max(s.queue_position) FROM zipmodule.job, zipmodule.status(series, archive) s") == "6");
}

TEST_CASE("a status tells where the job stands") {
  Bench bench;
  bench.publish("a", {{"priority", "3"}, {"lane", "fast"}});
  Reader reader(bench.db.options());
  auto status = reader.status("s", "a").at(0);
  CHECK(status.state == "pending");
  CHECK(status.priority == 3);
  CHECK(status.lane == "fast");
  CHECK(status.published_at.size() == std::string("2026-01-02T03:04:05.678Z").size());
  CHECK_FALSE(status.due_at.empty());
  CHECK_FALSE(status.bytes.has_value());
  build_next(bench, 1);
  status = reader.status("s", "a").at(0);
  CHECK(status.state == "done");
  CHECK(status.progress == 1.0);
  CHECK(status.bytes == 1000U);
  CHECK(status.fingerprint == "f");
  CHECK(status.due_at.empty());
  CHECK_FALSE(status.queue_position.has_value());
}

TEST_CASE("detail tells who holds the job, for how long, and how the last attempts went") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease);
  failure.retry_after_seconds = 0;
  bench.worker.fail(bench.run, {failure});
  const auto job = bench.claim_one();
  Reader reader(bench.db.options());
  const auto detail = reader.detail("s", "a");
  REQUIRE(detail.has_value());
  CHECK(detail->lease_by == "host-a:/srv/archives");
  CHECK(detail->lease_left_seconds > 50);
  CHECK(detail->lease_left_seconds <= 60);
  CHECK(detail->age_seconds >= 0);
  CHECK(detail->due_in_seconds <= 0);
  CHECK(detail->files_json == R"([{"source": "a.txt"}])");
  CHECK(detail->on_missing == "fail");
  REQUIRE(detail->recent_attempts_json.size() == 1);
  CHECK(nlohmann::json::parse(detail->recent_attempts_json[0]).at("error") == "it went wrong");
  CHECK_FALSE(reader.detail("s", "other").has_value());
}

TEST_CASE("health counts the states and shows the newest run") {
  Bench bench;
  for (const char* archive : {"done", "running", "failed", "cancelled", "pending"}) {
    bench.publish(archive);
    if (archive == std::string("done")) build_next(bench, 1);
    if (archive == std::string("running")) bench.claim_one();
    if (archive == std::string("cancelled")) Publisher(bench.db.options()).cancel("s", archive);
    if (archive == std::string("failed")) {
      auto failure = failure_of(bench.claim_one().lease);
      failure.retryable = false;
      bench.worker.fail(bench.run, {failure});
    }
  }
  bench.publish("waiting", {{"quiet", "5 minutes"}});
  bench.db.sql("UPDATE zipmodule.job SET due_at = due_at - interval '1 minute' WHERE archive = 'pending'");
  const auto health = Reader(bench.db.options()).health();
  CHECK(health.pending == 1);
  CHECK(health.waiting == 1);
  CHECK(health.running == 1);
  CHECK(health.failed == 1);
  CHECK(health.done == 1);
  CHECK(health.cancelled == 1);
  CHECK(health.oldest_due_seconds >= 60);
  CHECK(nlohmann::json::parse(health.last_run_json).at("host") == "host-a");
  CHECK(health.server_version >= 130000);
}

TEST_CASE("health of an empty queue is all zeros") {
  TestDatabase db;
  const auto health = Reader(db.options()).health();
  CHECK(health.pending + health.done == 0);
  CHECK(health.oldest_due_seconds == 0);
  CHECK(health.last_run_json.empty());
}
