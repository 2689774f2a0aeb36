#include "run/job.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "base/archive_name.hpp"
#include "base/error.hpp"
#include "run/site.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::run {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

// A site with a content root, and jobs as the queue hands them out.
class JobSite {
 public:
  JobSite() {
    test::write_file(dir / "content/a.txt", test::wordy_text(5'000));
    config.content.roots = {{"default", dir / "content"}};
    config.archives.root = dir / "store";
    config.archives.min_free_bytes = 0;
    config.run.host = "testhost";
    config.run.threads = 2;
  }

  AttemptResult attempt(const std::string& files_json) {
    job.files_json = files_json;
    if (!site) site.emplace(config);
    if (!held) held = std::make_shared<HeldLease>(job.lease, "s/a", BootClock::now() + std::chrono::hours(1));
    return attempt_job({job, held}, site->builder(), site->store(), JobDefaults{zip::Level::fast, {"mirror"}});
  }
  queue::Failure failure(const std::string& files_json) {
    auto result = attempt(files_json);
    auto* failed = std::get_if<queue::Failure>(&result.what);
    REQUIRE(failed != nullptr);
    CHECK(failed->attempt.lease.token == job.lease.token);
    CHECK_FALSE(failed->attempt.error.empty());
    return *failed;
  }

  test::TempDir dir{"job"};
  config::Config config;
  queue::ClaimedJob job{{7, 3, 5}, "s", "a", "[]", "{}", "fail", std::nullopt, 1, 0, std::nullopt, {}};
  std::optional<Site> site;
  std::shared_ptr<HeldLease> held;
};

TEST_CASE("a job that is built is done, with its record and what was measured") {
  JobSite site;
  const auto result = site.attempt(R"([{"source": "a.txt"}])");
  const auto* record = std::get_if<queue::BuildRecord>(&result.what);
  REQUIRE(record != nullptr);
  CHECK(fs::file_size(site.dir / "store" / build_path(record->build_id)) == record->size_bytes);
  CHECK(record->entries == 1);
  CHECK(record->fingerprint.size() == 64);
  CHECK(record->build_id.size() == 32);
  CHECK(result.attempt.outcome == queue::Outcome::done);
  CHECK(result.attempt.error_kind.empty());
  CHECK(result.attempt.measured.files == 1);
  CHECK(result.attempt.measured.bytes_in == 5'000);
  CHECK(result.attempt.measured.bytes_out == record->size_bytes);
  CHECK(result.attempt.measured.build_seconds > 0);
  CHECK(site.held->started);
}

TEST_CASE("errors become outcomes: tried again or not, counted or not") {
  struct Case {
    std::string files;
    std::string kind;
    queue::Outcome outcome;
    bool counts;
  };
  using queue::Outcome;
  const auto test = GENERATE(values<Case>({
      {R"([{"source": "gone"}])", "source_missing", Outcome::retry, true},
      {R"([{"source": "fifo"}])", "source_type", Outcome::failed, true},
      {R"([{"source": "out"}])", "source_outside", Outcome::failed, true},
      {R"([{"source": "video:x"}])", "config", Outcome::failed, true},
      {R"([{"source": "a.txt", "name": "a:\\"}])", "source_name", Outcome::failed, true},
      {R"([{"source": "a.txt", "name": "d"}, {"source": "a.txt", "destination": "d"}])", "name_conflict",
       Outcome::failed, true},
      {"[]", "empty", Outcome::failed, true},
      {"nonsense", "payload", Outcome::failed, true},
      {R"([{"source": "a.txt"}, {"source": "a.txt"}, {"source": "a.txt"}])", "limit", Outcome::failed, true},
  }));
  CAPTURE(test.files);
  JobSite site;
  site.config.limits.max_entries = 2;
  ::mkfifo((site.dir / "content/fifo").c_str(), 0644);
  fs::create_symlink("/etc/passwd", site.dir / "content/out");
  const auto failure = site.failure(test.files);
  CHECK(failure.attempt.error_kind == test.kind);
  CHECK(failure.attempt.outcome == test.outcome);
  CHECK(failure.counts == test.counts);
  CHECK(failure.retryable == (test.outcome == Outcome::retry));
  CHECK_FALSE(failure.retry_after_seconds);
  CHECK_FALSE(is_disk_trouble(failure.attempt.error_kind));
}

TEST_CASE("what is left out under 'skip' is told with the build") {
  JobSite site;
  site.job.on_missing = "skip";
  const auto result = site.attempt(R"([{"source": "a.txt"}, {"source": "gone"}])");
  REQUIRE(std::holds_alternative<queue::BuildRecord>(result.what));
  CHECK(std::get<queue::BuildRecord>(result.what).entries == 2);
  CHECK(result.attempt.missing == std::vector<std::string>{"default:gone"});
  CHECK(result.attempt.measured.files_missing == 1);
}

TEST_CASE("of very many missing sources a thousand are told, and all are counted") {
  JobSite site;
  site.job.on_missing = "skip";
  std::string files = R"([{"source": "a.txt"})";
  for (int i = 0; i < 1'500; ++i) files += R"(, {"source": "gone)" + std::to_string(i) + "\"}";
  const auto result = site.attempt(files + "]");
  CHECK(result.attempt.missing.size() == 1'000);
  CHECK(result.attempt.measured.files_missing == 1'500);
}

TEST_CASE("a job whose root is away is tried every minute, uncounted") {
  JobSite site;
  site.config.content.roots["late"] = site.dir / "late";
  const auto failure = site.failure(R"([{"source": "late:x"}])");
  CHECK(failure.attempt.error_kind == "root_away");
  CHECK(failure.retryable);
  CHECK_FALSE(failure.counts);
  CHECK(failure.retry_after_seconds == 60);
}

TEST_CASE("too little space skips the job, uncounted, for a minute") {
  JobSite site;
  site.config.archives.min_free_bytes = std::uint64_t{1} << 60U;
  const auto failure = site.failure(R"([{"source": "a.txt"}])");
  CHECK(failure.attempt.error_kind == "disk_reserve");
  CHECK(failure.attempt.outcome == queue::Outcome::skipped);
  CHECK_FALSE(failure.counts);
  CHECK(failure.retryable);
  CHECK(failure.retry_after_seconds == 60.0);
  CHECK(is_disk_trouble(failure.attempt.error_kind));
}

TEST_CASE("a build that was stopped says why: the run, the lease, or the publisher") {
  const auto [reason, kind, outcome] = GENERATE(table<StopReason, std::string, queue::Outcome>({
      {StopReason::run_stopped, "stopped", queue::Outcome::retry},
      {StopReason::lease_lost, "lease_lost", queue::Outcome::retry},
      {StopReason::cancelled, "cancelled", queue::Outcome::cancelled},
  }));
  JobSite site;
  site.held = std::make_shared<HeldLease>(site.job.lease, "s/a", BootClock::now());
  site.held->request_stop(reason);
  const auto failure = site.failure(R"([{"source": "a.txt"}])");
  CHECK(failure.attempt.error_kind == kind);
  CHECK(failure.attempt.outcome == outcome);
  CHECK_FALSE(failure.counts);
  if (reason == StopReason::lease_lost) CHECK(failure.retry_after_seconds == 0.0);
}

TEST_CASE("a real error is told as itself, also when a stop was asked for meanwhile") {
  JobSite site;
  site.held = std::make_shared<HeldLease>(site.job.lease, "s/a", BootClock::now());
  site.held->request_stop(StopReason::cancelled);
  CHECK(site.failure("nonsense").attempt.error_kind == "payload");
}

TEST_CASE("a revision that is built already is only linked, unless a hand was on its file") {
  JobSite site;
  const auto first = site.attempt(R"([{"source": "a.txt"}])");
  const auto record = std::get<queue::BuildRecord>(first.what);
  site.job.built_revision = site.job.lease.revision;
  site.job.current = record;
  auto again = site.attempt(R"([{"source": "a.txt"}])");
  REQUIRE(std::holds_alternative<AlreadyBuilt>(again.what));
  CHECK(std::get<AlreadyBuilt>(again.what).build.build_id == record.build_id);
  CHECK(again.attempt.outcome == queue::Outcome::skipped);
  CHECK_FALSE(site.site->store().tree().link_target("s", "a"));  // the dispatcher's, with those of the batch

  SECTION("an older revision is built") {
    site.job.built_revision = site.job.lease.revision - 1;
    again = site.attempt(R"([{"source": "a.txt"}])");
    REQUIRE(std::holds_alternative<queue::BuildRecord>(again.what));
    CHECK(std::get<queue::BuildRecord>(again.what).build_id == record.build_id);  // of the same bytes: the file stays
    test::write_file(site.dir / "content/a.txt", test::wordy_text(6'000));
    again = site.attempt(R"([{"source": "a.txt"}])");
    REQUIRE(std::holds_alternative<queue::BuildRecord>(again.what));
    CHECK(std::get<queue::BuildRecord>(again.what).build_id != record.build_id);
    return;
  }
  SECTION("an older revision is built, and this one fails for good") {
    site.job.built_revision = site.job.lease.revision - 1;
    CHECK(site.failure("nonsense").attempt.outcome == queue::Outcome::failed);
    CHECK(site.site->store().tree().link_target("s", "a") == record.build_id);
    return;
  }
  SECTION("the file is gone") { fs::remove(site.dir / "store" / build_path(record.build_id)); }
  SECTION("the file was touched") { test::set_mtime(site.dir / "store" / build_path(record.build_id), 1); }
  SECTION("the file was cut") { fs::resize_file(site.dir / "store" / build_path(record.build_id), 10); }
  // The database forgets it before the revision is built again.
  again = site.attempt(R"([{"source": "a.txt"}])");
  REQUIRE(std::holds_alternative<UselessBuild>(again.what));
  CHECK(std::get<UselessBuild>(again.what).build.build_id == record.build_id);
  CHECK(again.attempt.outcome == queue::Outcome::retry);
  CHECK(again.attempt.error_kind == "corrupt");
  CHECK_THAT(again.attempt.error, Contains(build_path(record.build_id)));
}

TEST_CASE("a revision that another host has built and not linked is no damage, and is built here") {
  JobSite site;
  site.job.built_revision = site.job.lease.revision;
  site.job.current = queue::BuildRecord{std::string(32, 'a'), 1, 1, "f", 1};
  site.job.elsewhere = "other";
  const auto result = site.attempt(R"([{"source": "a.txt"}])");
  REQUIRE(std::holds_alternative<UselessBuild>(result.what));
  CHECK(result.attempt.error_kind == "lease_lost");
  CHECK_THAT(result.attempt.error, Contains("other built " + build_path(std::string(32, 'a'))));
}

TEST_CASE("a job's own level counts, and one that is not known is the configured one") {
  const auto [level, stored] = GENERATE(table<std::optional<std::string>, bool>(
      {{"store", true}, {"small", false}, {std::nullopt, false}, {"best", false}}));
  JobSite site;
  site.job.level = level;
  const auto result = site.attempt(R"([{"source": "a.txt"}])");
  CHECK((std::get<queue::BuildRecord>(result.what).size_bytes > 5'000) == stored);
}

TEST_CASE("a root that is away holds up nobody else, and is there for the next attempt") {
  JobSite site;
  site.config.content.roots["late"] = site.dir / "late";
  const auto roots = root_places(site.config);
  REQUIRE(roots.size() == 2);
  CHECK(roots.at("default").for_attempt({}) != nullptr);
  try {
    roots.at("late").for_attempt({});
    FAIL("it is not there");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::root_away);
    CHECK_THAT(error.what(), Contains("late"));
  }
  std::filesystem::create_directory(site.dir / "late");
  CHECK(roots.at("late").for_attempt({}) != nullptr);
}

}  // namespace
}  // namespace zipmodule::run
