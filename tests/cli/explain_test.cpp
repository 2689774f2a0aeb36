#include "cli/explain.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"

using namespace zipmodule;
using namespace zipmodule::cli;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

Surroundings around_now() {
  Surroundings around;
  around.now = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + 12h;
  around.health.pending = 9;
  around.health.last_run_json = R"({"run_id": 7, "host": "web1", "pid": 4711, "started_at": "2026-01-02T11:58:00Z",)"
                                R"( "finished_at": "2026-01-02T11:59:00Z", "outcome": "done"})";
  around.roots = {"default", "media"};
  around.max_attempts = 5;
  return around;
}

queue::JobDetail job_in(const std::string& state) {
  queue::JobDetail job;
  job.status.series = "photos";
  job.status.archive = "summer 26";
  job.status.state = state;
  job.status.wanted_revision = 3;
  job.age_seconds = 300;
  job.files_json = R"([{"source": "a/b.jpg"}, {"source": "media:c"}])";
  return job;
}

}  // namespace

TEST_CASE("a pending job is explained by its place in the queue and the last run") {
  auto job = job_in("pending");
  job.status.queue_position = 4;
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text, Contains("photos/summer 26 is pending."));
  CHECK_THAT(text, Contains("Revision 3 was published 5m ago and is due"));
  CHECK_THAT(text, Contains("at position 4 of the 9 that are due"));
  CHECK_THAT(text, Contains("Nothing was built of it yet"));
  CHECK_THAT(text, Contains("No run is at work; the last one (run 7 on web1) ended 1m ago with outcome 'done'"));
  CHECK_THAT(text, Contains("zipmodule cancel photos 'summer 26'"));
  CHECK_THAT(text, !Contains("Beware") && !Contains("cron"));
}

TEST_CASE("a pending job whose worker went silent names the worker and when its lease ended") {
  auto job = job_in("pending");
  job.lease_by = "web1:/srv/archives";
  job.lease_left_seconds = -30;
  CHECK_THAT(explain_text(job, around_now()),
             Contains("web1:/srv/archives was killed, paused or cut off: the lease ended 30s ago"));
}

TEST_CASE("a job that is built but not linked waits for its link alone") {
  auto job = job_in("pending");
  job.status.built_revision = 3;
  CHECK_THAT(explain_text(job, around_now()), Contains("Revision 3 is built, but") && !Contains("and is due"));
}

TEST_CASE("a pending job while a run lives says so") {
  auto around = around_now();
  around.health.last_run_json =
      R"({"run_id": 8, "host": "web1", "pid": 5, "started_at": "2026-01-02T11:58:00Z", "finished_at": null})";
  CHECK_THAT(explain_text(job_in("pending"), around),
             Contains("A run is at work: run 8 on web1, process 5, started 2m ago"));
}

TEST_CASE("a pending job without any run, or long after the last, points at cron") {
  auto around = around_now();
  around.now += 1h;
  CHECK_THAT(explain_text(job_in("pending"), around), Contains("ended 1h 1m ago") && Contains("cron or the timer"));
  around.health.last_run_json.clear();
  CHECK_THAT(explain_text(job_in("pending"), around), Contains("No run was ever recorded"));
}

TEST_CASE("a job for a store that no host has says so, pending or waiting") {
  auto job = job_in(GENERATE("pending", "waiting"));
  job.store = "north";
  CHECK_THAT(explain_text(job, around_now()), !Contains("north"));
  job.store_known = false;
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text, Contains("published for the store 'north', and no host has that store."));
  CHECK_THAT(text, Contains("until one comes with `archives.store: north`") && !Contains("The next run takes"));
}

TEST_CASE("a job that waits after a failure tells the failure, the advice and the time of the next attempt") {
  auto job = job_in("waiting");
  job.status.last_error_kind = "source_missing";
  job.status.last_error = "media:c does not exist";
  job.status.attempts = 2;
  job.status.built_revision = 2;
  job.status.due_at = "2026-01-02T12:00:40Z";
  job.due_in_seconds = 40;
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text, Contains("source_missing: media:c does not exist."));
  CHECK_THAT(text, Contains("on_missing=skip"));
  CHECK_THAT(text, Contains("tried again in 40s (2026-01-02T12:00:40Z), after 2 attempts of at most 5"));
  CHECK_THAT(text, Contains("Meanwhile revision 2 can be downloaded."));
  CHECK_THAT(text, Contains("zipmodule retry photos 'summer 26'"));
}

TEST_CASE("a job that waits without a failure waits for its quiet time") {
  auto job = job_in("waiting");
  job.due_in_seconds = 12;
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text, Contains("quiet time") && Contains("due in 12s"));
  CHECK_THAT(text, !Contains("ended with"));
}

TEST_CASE("a running job names its worker, its progress and what is left of the lease") {
  auto job = job_in("running");
  job.lease_by = "web1:/srv/archives";
  job.lease_left_seconds = 48;
  job.status.progress = 0.25;
  CHECK_THAT(explain_text(job, around_now()),
             Contains("web1:/srv/archives is building it and has done 25 %.") && Contains("lasts 48s more"));
  job.lease_left_seconds = -90;
  CHECK_THAT(explain_text(job, around_now()),
             Contains("lease ended 1m 30s ago") && Contains("the next run takes the job over"));
}

TEST_CASE("a failed job names kind, message, advice, attempts and the command that tries again") {
  auto job = job_in("failed");
  job.status.last_error_kind = "source_outside";
  job.status.last_error = "default:a/b.jpg leads out of its content root";
  job.status.attempts = 1;
  auto around = around_now();
  around.program = "zipmodule --config '/etc/my z.yaml'";
  const auto text = explain_text(job, around);
  CHECK_THAT(text, Contains("Revision 3 failed with source_outside: default:a/b.jpg leads out of its content root."));
  CHECK_THAT(text, Contains("A symlink or a redirect leads out of the content root."));
  CHECK_THAT(text, Contains("It had 1 attempt of at most 5."));
  CHECK_THAT(text, Contains("Nothing happens by itself"));
  CHECK_THAT(text, Contains("zipmodule --config '/etc/my z.yaml' retry photos 'summer 26'"));
}

TEST_CASE("a done job says what was built and that nothing happens") {
  auto job = job_in("done");
  job.status.built_revision = 3;
  job.status.entries = 1;
  job.status.bytes = 2048;
  job.status.path = "builds/ab/abc.zip";
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text, Contains("Revision 3, the newest published, is built, verified and linked: 1 entry, 2.0 KiB."));
  CHECK_THAT(text, Contains("builds/ab/abc.zip"));
  CHECK_THAT(text, Contains("Nothing happens until it is published again."));
}

TEST_CASE("a cancelled job offers a retry and a publish") {
  CHECK_THAT(explain_text(job_in("cancelled"), around_now()),
             Contains("was cancelled") && Contains("zipmodule retry") && Contains("zipmodule publish"));
}

TEST_CASE("a state of a later version is named, not guessed at") {
  CHECK_THAT(explain_text(job_in("archived"), around_now()), Contains("'archived' is unknown to this version"));
}

TEST_CASE("a content root that is not configured here is named") {
  auto job = job_in("pending");
  job.files_json = R"([{"source": "a/b:c"}, {"source": "attic:x"}])";
  CHECK_THAT(explain_text(job, around_now()), Contains("content root 'attic'") && !Contains("'a/b'"));
}

TEST_CASE("a configuration with problems is part of the explanation") {
  auto around = around_now();
  around.roots.reset();
  CHECK_THAT(explain_text(job_in("pending"), around), Contains("zipmodule check-config"));
}

TEST_CASE("the last attempts are listed with outcome, time, place and error") {
  auto job = job_in("failed");
  job.recent_attempts_json = {
      R"({"attempt": 2, "revision": 3, "finished_at": "2026-01-02T11:59:00Z", "outcome": "failed", "build_seconds": 3.21,)"
      R"( "host": "web1", "error_kind": "io", "error": "read x: Input/output error"})",
      R"({"attempt": 1, "revision": 3, "finished_at": null, "outcome": "lost", "error_kind": null, "error": null})",
      "not json",
  };
  const auto text = explain_text(job, around_now());
  CHECK_THAT(text,
             Contains("attempt 2 at revision 3, 1m ago: failed after 3.2s on web1, io: read x: Input/output error\n"));
  CHECK_THAT(text, Contains("attempt 1 at revision 3: lost\n"));
  CHECK_THAT(text, Contains("not json\n"));
}

TEST_CASE("no text of the database can drive the terminal") {
  auto job = job_in("failed");
  job.status.series = "a\033[2J";
  job.status.last_error = "x\033[2J\ny";
  job.recent_attempts_json = {"\033[2J"};
  CHECK_THAT(explain_text(job, around_now()), !Contains("\033"));
}

TEST_CASE("the explanation as JSON holds the row, the sentences and the commands") {
  const auto document = explain_json(job_in("failed"), around_now());
  CHECK(document.at("state") == "failed");
  CHECK(document.at("files").size() == 2);
  CHECK(document.at("due_at").is_null());
  CHECK(document.at("commands").at(0).at("command") == "zipmodule retry photos 'summer 26'");
  CHECK_FALSE(document.at("why").empty());
}

TEST_CASE("roots are found in every source, and nowhere in what is no list") {
  CHECK(roots_used(R"([{"source": "a"}, {"source": "m:a/b"}, {"source": "m:c"}, {"source": "d/e:f"}])") ==
        std::set<std::string>{"default", "m"});
  CHECK(roots_used("").empty());
  CHECK(roots_used("{}").empty());
}
