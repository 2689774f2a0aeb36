#include "cli/status_text.hpp"

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace zipmodule;
using namespace zipmodule::cli;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

const auto k_now = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + 12h;

queue::JobStatus job_in(const std::string& state) {
  queue::JobStatus job;
  job.series = "photos";
  job.archive = "summer";
  job.lane = "photos";
  job.state = state;
  job.wanted_revision = 3;
  job.published_at = "2026-01-02T11:55:00Z";
  job.metadata_json = "{}";
  return job;
}

queue::JobStatus built_job(const std::string& state) {
  auto job = job_in(state);
  job.built_revision = 3;
  job.bytes = 1536;
  job.entries = 12;
  job.path = "builds/ab/abcdef.zip";
  job.fingerprint = "f00";
  return job;
}

}  // namespace

TEST_CASE("a table line says what is built, how old the publish is and what there is to note") {
  auto pending = job_in("pending");
  pending.queue_position = 4;
  auto waiting = job_in("waiting");
  waiting.due_at = "2026-01-02T12:00:12Z";
  waiting.last_error_kind = "source_missing";
  waiting.last_error = "media:a.jpg does not exist\nsecond line";
  auto running = built_job("running");
  running.built_revision = 2;
  running.progress = 0.426;
  const std::vector<queue::JobStatus> jobs{pending, waiting, running, built_job("done")};
  CHECK(
      status_table(jobs, k_now, false) ==
      "SERIES  ARCHIVE  STATE     BUILT     SIZE  ENTRIES  PUBLISHED  NOTE\n"
      "photos  summer   pending  0 of 3        -        -         5m  #4 in the queue\n"
      "photos  summer   waiting  0 of 3        -        -         5m  due in 12s; source_missing: media:a.jpg does not "
      "exist\n"
      "photos  summer   running  2 of 3  1.5 KiB       12         5m  43 %\n"
      "photos  summer   done          3  1.5 KiB       12         5m\n");
}

TEST_CASE("states are coloured only where colours were asked for") {
  const std::vector<queue::JobStatus> jobs{built_job("failed")};
  CHECK_THAT(status_table(jobs, k_now, false), !Contains("\033"));
  CHECK_THAT(status_table(jobs, k_now, true), Contains("\033[31mfailed\033[0m"));
}

TEST_CASE("a publish from a clock ahead of this one has no age below zero") {
  auto job = job_in("done");
  job.published_at = "2026-01-02T12:00:30Z";
  CHECK_THAT(status_table({job}, k_now, false), Contains(" 0s\n"));
}

TEST_CASE("a block shows all lines of the error and the exact size") {
  queue::JobDetail detail;
  detail.status = built_job("failed");
  detail.status.last_error_kind = "limit";
  detail.status.last_error = "too much\nof everything";
  detail.status.metadata_json = "{\"by\": 7}";
  detail.age_seconds = 300;
  const auto text = status_block(detail, false);
  CHECK_THAT(text, Contains("photos/summer\n  state       failed\n"));
  CHECK_THAT(text, Contains("error       limit: too much\n              of everything\n"));
  CHECK_THAT(text, Contains("1.5 KiB (1536 bytes), 12 entries"));
  CHECK_THAT(text, Contains("metadata    {\"by\": 7}"));
}

TEST_CASE("a block of a running job shows its worker and lease") {
  queue::JobDetail detail;
  detail.status = job_in("running");
  detail.status.progress = 0.5;
  detail.lease_by = "web1:/srv/archives";
  detail.lease_left_seconds = 42;
  CHECK_THAT(status_block(detail, false),
             Contains("progress    50 %") && Contains("web1:/srv/archives, lease 42s left"));
  detail.lease_left_seconds = -42;
  CHECK_THAT(status_block(detail, false), Contains("lease over since 42s"));
}
