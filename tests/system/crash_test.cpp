// The run is killed at every kind of moment, while publishers go on. In the end nothing may be lost, doubled or half.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "support/catch.hpp"
#include "system/site.hpp"

using namespace zipmodule::test;
namespace fs = std::filesystem;

namespace {

constexpr int k_archives = 16;
constexpr int k_files = 6;
constexpr int k_random_kills = 200;

std::string archive_name(int archive) { return fmt::format("archive-{:02}", archive); }
std::string folder_name(int archive, int version) { return fmt::format("{}/v{}", archive_name(archive), version); }

// What a file of one version holds: found again byte by byte in the end. Every fourth archive has one of several chunks.
std::string file_content(int archive, int version, int file) {
  std::string text = fmt::format("archive {} version {} file {}\n", archive, version, file);
  const std::size_t size = archive % 4 == 0 && file == 0 ? 3'000'000 : 2'000 * static_cast<std::size_t>(file + 1);
  while (text.size() < size) text += fmt::format("{} {}\n", text.size() * 2'654'435'761U, text.size());
  return text;
}

void write_version(const Site& site, int archive, int version) {
  const fs::path folder = site.content(folder_name(archive, version));
  fs::create_directories(folder);
  for (int file = 0; file < k_files; ++file) {
    std::ofstream(folder / fmt::format("{}.txt", file), std::ios::binary) << file_content(archive, version, file);
  }
}

// Publishes random archives, each with content of its own, until it is stopped. Archives are divided between publishers,
// so that each knows which of its publishes was the last.
class Publisher {
 public:
  Publisher(const Site& site, int first, int step, unsigned seed)
      : site_(site), first_(first), step_(step), versions_(k_archives, 0), random_(seed) {
    for (int archive = first_; archive < k_archives; archive += step_) publish(archive);
  }

  void start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        try {
          publish(first_ + step_ * static_cast<int>(random_() %
                                                    static_cast<unsigned>((k_archives - first_ + step_ - 1) / step_)));
        } catch (const std::exception& failure) {
          failure_ = failure.what();
          return;
        }
      }
    });
  }
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  const std::string& failure() const { return failure_; }
  int version(int archive) const { return versions_[static_cast<std::size_t>(archive)]; }
  bool owns(int archive) const { return archive % step_ == first_; }

 private:
  void publish(int archive) {
    int& version = versions_[static_cast<std::size_t>(archive)];
    write_version(site_, archive, version + 1);
    site_.publish("crash", archive_name(archive),
                  fmt::format(R"([{{"source": "{}/", "destination": "data"}}])", folder_name(archive, version + 1)));
    ++version;
  }

  const Site& site_;
  const int first_;
  const int step_;
  std::vector<int> versions_;
  std::mt19937 random_;
  std::string failure_;
  std::jthread thread_;
};

void kill_at_random_moments(const Site& site, unsigned seed) {
  std::mt19937 random(seed);
  int killed = 0;
  int whole = 0;
  while (killed < k_random_kills) {
    auto run = site.start({"run"});
    // From before the lock is taken to several commits later; the moment itself is what is tested.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 120'000));
    run.send(SIGKILL);
    const Result result = run.wait();
    INFO(result.text());
    if (result.signal == SIGKILL) {
      ++killed;
    } else {
      REQUIRE(result.exit_code == 0);
      REQUIRE(++whole < k_random_kills);
    }
  }
}

// Kills the run as it enters the n-th call of a kind: just before a rename, a sync, a link, a statement to the database.
int kill_at_system_calls(const Site& site) {
  int killed = 0;
  for (const char* call : {"rename", "fsync", "symlink", "unlink", "sendto", "pwrite64", "flock"}) {
    for (const int nth : {1, 2, 3, 5, 8, 13, 21}) {
      Command command = site.command({"run"});
      const std::vector<std::string> strace{"strace",
                                            "-f",
                                            "-qqq",
                                            "-o",
                                            "/dev/null",
                                            "-e",
                                            fmt::format("trace={}", call),
                                            "-e",
                                            fmt::format("inject={}:signal=SIGKILL:when={}", call, nth)};
      command.argv.insert(command.argv.begin(), strace.begin(), strace.end());
      command.environment["ASAN_OPTIONS"] = "detect_leaks=0";  // LeakSanitizer can't work below a tracer
      const Result result = run(command);
      INFO(call << " " << nth << ": " << result.text());
      REQUIRE((result.signal == SIGKILL || result.exit_code == 0 || result.exit_code == 128 + SIGKILL));
      if (result.exit_code != 0) ++killed;
    }
  }
  return killed;
}

// Runs until every job is done: some wait a few seconds because their builds were killed several times in a row.
void let_it_finish(const Site& site) {
  const bool finished = wait_until(
      [&] {
        const Result result = site.run();
        INFO(result.text());
        REQUIRE(result.exit_code == 0);
        return site.sql("SELECT count(*) FROM zipmodule.job_status WHERE state <> 'done'") == "0";
      },
      std::chrono::seconds(120));
  INFO(site.sql("SELECT series, archive, state, last_error FROM zipmodule.job_status"));
  REQUIRE(finished);
  REQUIRE(site.run().quiet());  // sweeps what the last one retired
}

void check_content(const Site& site, int archive, int version) {
  const fs::path folder = site.scratch(fmt::format("unpacked-{}", archive));
  const Result unzip = run({"unzip", "-q", site.link("crash", archive_name(archive)), "-d", folder});
  INFO(archive_name(archive) << " version " << version << ": " << unzip.text());
  REQUIRE(unzip.exit_code == 0);
  for (int file = 0; file < k_files; ++file) {
    std::ifstream in(folder / "data" / fmt::format("{}.txt", file), std::ios::binary);
    std::ostringstream found;
    found << in.rdbuf();
    CHECK(found.str() == file_content(archive, version, file));
  }
}

void check_database(const Site& site) {
  const auto none = [&](const std::string& what, const std::string& query) {
    INFO(what);
    CHECK(site.sql("SELECT count(*) FROM (" + query + ") AS found") == "0");
  };
  none("a lease is left", "SELECT 1 FROM zipmodule.job WHERE lease_until IS NOT NULL");
  none("a job is not at its last revision", "SELECT 1 FROM zipmodule.job WHERE built_revision <> wanted_revision");
  none("a revision is done twice",
       "SELECT 1 FROM zipmodule.telemetry WHERE outcome = 'done' GROUP BY job_id, revision HAVING count(*) > 1");
  none("an older revision was done after a newer one",
       "SELECT 1 FROM zipmodule.telemetry a JOIN zipmodule.telemetry b USING (job_id) WHERE a.outcome = 'done' AND "
       "b.outcome = 'done' AND a.lease_token < b.lease_token AND a.revision >= b.revision");
  none("a claim has not exactly one row of telemetry",
       "SELECT 1 FROM zipmodule.job LEFT JOIN zipmodule.telemetry USING (job_id) GROUP BY job_id "
       "HAVING count(telemetry.id) <> max(job.lease_token)");
  none("an attempt's times contradict each other",
       "SELECT 1 FROM zipmodule.telemetry WHERE NOT (published_at <= claimed_at AND claimed_at <= finished_at)");
  none("the last done revision is not the built one",
       "SELECT 1 FROM zipmodule.job WHERE built_revision <> "
       "(SELECT max(revision) FROM zipmodule.telemetry t WHERE t.job_id = job.job_id AND outcome = 'done')");
}

void check_store(const Site& site) {
  CHECK(site.unfinished().empty());
  auto on_disk = site.builds();
  std::sort(on_disk.begin(), on_disk.end());
  std::vector<std::string> known;
  std::istringstream rows(
      site.sql("SELECT substr(zipmodule.build_path(build_id, format), length('builds/') + 1) FROM zipmodule.build"));
  for (std::string row; std::getline(rows, row);) known.push_back(row);
  std::sort(known.begin(), known.end());
  CHECK(on_disk == known);
  CHECK(known.size() == k_archives);  // grace is over for all that were replaced
}

}  // namespace

TEST_CASE("A run that is killed again and again loses no publish, shows no half archive and leaves nothing behind") {
  const unsigned seed = std::random_device()();
  WARN("seed " << seed);
  Site site;
  site.set("archives.grace", "0s");
  site.set("run.linger", "60s");  // so that there is always something to kill
  site.set("run.workers", "4");
  Publisher even(site, 0, 2, seed);
  Publisher odd(site, 1, 2, seed + 1);
  even.start();
  odd.start();
  kill_at_random_moments(site, seed + 2);
  site.set("run.linger", "0s");
  const int killed_at_calls = kill_at_system_calls(site);
  even.stop();
  odd.stop();
  CHECK(even.failure().empty());
  CHECK(odd.failure().empty());
  CHECK(killed_at_calls >= 35);  // of 49; a run with little to do has no 21st rename
  let_it_finish(site);

  for (int archive = 0; archive < k_archives; ++archive) {
    check_content(site, archive, even.owns(archive) ? even.version(archive) : odd.version(archive));
  }
  check_database(site);
  check_store(site);
}
