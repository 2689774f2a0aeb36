// A user, a container or a host with a limit of threads: whatever the limit is, every command ends by itself.
#include <csignal>

#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

using Catch::Matchers::Contains;

constexpr unsigned k_most = 30;
constexpr auto k_deadline = std::chrono::seconds(30);

// main, who waits for signals, and one that builds
constexpr unsigned k_zip_needs = 3;
// Besides those: the heartbeat and its watch, a worker, the deliverer and one of its target.
constexpr unsigned k_run_needs = 8;

Command limited(unsigned threads, Command command) {
  command.argv = with_thread_limit(threads, std::move(command.argv));
  command.timeout = k_deadline;
  return command;
}

// By the same user, whose store it is, and without trouble.
Result run_freely(const Site& site) { return run(limited(1'000, site.command({"run"}))); }

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

void check_names_the_limit(const Result& ended) {
  CHECK(ended.exit_code == 74);
  CHECK_THAT(ended.err, Contains("start a thread for") && Contains("ulimit -u"));
}

void add_tree(const std::filesystem::path& root) {
  write_file(root / "large.txt", wordy_text(5'000'000), 1'700'000'000);
  for (int i = 0; i < 60; ++i) {
    write_file(root / std::to_string(i % 6) / (std::to_string(i) + ".txt"), wordy_text(9'000), 1'700'000'000 + i);
  }
}

TEST_CASE("zip ends at any limit of threads, with the same archive or by naming the limit") {
  const TempDir dir;
  add_tree(dir / "in");
  const auto zip = [&](const std::string& out) {
    Command command;
    command.argv = {build_path("zipmodule"), "zip", out, "in", "--threads", "8"};
    command.where = dir.path();
    return command;
  };
  REQUIRE(run(zip("whole.zip")).exit_code == 0);
  const std::string whole = read_file(dir / "whole.zip");
  for (unsigned threads = 1; threads <= k_most; ++threads) {
    const Result ended = run(limited(threads, zip("out.zip")));
    INFO(threads << " threads: " << ended.text());
    REQUIRE_FALSE(ended.timed_out);
    if (threads < k_zip_needs) {
      check_names_the_limit(ended);
      CHECK(listing(dir.path()).size() == listing(dir / "in").size() + 2);  // 'in/' and the first archive
      continue;
    }
    CHECK(ended.exit_code == 0);
    CHECK((read_file(dir / "out.zip") == whole));
    // main, signals, the eight that were asked for; and before those, three that read folders ahead.
    const std::size_t warnings = count(ended.err, "going on with fewer threads");
    CHECK(warnings <= (threads < 13 ? 1 : 0));
    CHECK(warnings >= (threads < 10 ? 1 : 0));
    std::filesystem::remove(dir / "out.zip");
  }
}

TEST_CASE("a run ends at any limit of threads, with the archive or by naming the limit, and holds nothing afterwards") {
  Site site;
  site.set("run.threads", "8");
  site.set("run.workers", "4");
  site.set("archives.deliver", "{mirror: {url: \"" + site.scratch("mirror").string() + "\", required: true}}");
  std::filesystem::create_directories(site.scratch("mirror"));
  add_tree(site.content("a"));
  REQUIRE(run_freely(site).exit_code == 0);  // makes the store
  for (unsigned threads = 3; threads <= k_most; ++threads) {
    const std::string archive = "a" + std::to_string(threads);
    site.publish("s", archive, "a");
    const Result ended = run(limited(threads, site.command({"run"})));
    INFO(threads << " threads: " << ended.text());
    REQUIRE_FALSE(ended.timed_out);
    if (threads < k_run_needs) {
      check_names_the_limit(ended);
      CHECK(site.job("s", archive)["attempts"] == 0);
      CHECK(run_freely(site).exit_code == 0);
    } else {
      CHECK(ended.exit_code == 0);
    }
    CHECK(site.state("s", archive) == "done");
    CHECK(site.unfinished().empty());
  }
}

TEST_CASE("a run with few threads ends at SIGTERM and gives its lease back") {
  Site site;
  site.add_slow_content("slow.txt");
  site.set("run.threads", "8");
  site.publish("s", "a", "slow.txt");
  Process process(limited(7, site.command({"run"})));
  REQUIRE(wait_until([&] { return !site.unfinished().empty() || !process.running(); }));
  process.send(SIGTERM);
  const Result ended = process.wait();
  INFO(ended.text());
  CHECK_FALSE(ended.timed_out);
  CHECK(site.state("s", "a") == "pending");
  CHECK(site.sql("SELECT count(*) FROM zipmodule.job WHERE lease_until IS NOT NULL") == "0");
  CHECK(run_freely(site).exit_code == 0);
  CHECK(site.state("s", "a") == "done");
}

}  // namespace
}  // namespace zipmodule::test
