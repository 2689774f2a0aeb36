#include "run/metrics.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

using namespace zipmodule;
using namespace zipmodule::run;
namespace fs = std::filesystem;

namespace {

Metrics some_metrics() {
  Metrics metrics;
  metrics.host = "web1";
  metrics.version = "1.2.3";
  metrics.ending = {1'700'000'000.25, 1'700'000'003.5, 3.25, "failed", 1, 7, 5, 2, ""};
  metrics.queue = queue::Gauges{4, 3, 2, 1, 60.5, 3600, 90, 1'699'999'910.0, true, 6, 12.5};
  metrics.store_free_bytes = 123'456'789'012;
  return metrics;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    REQUIRE(end != std::string::npos);  // the last line must end, too
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The names that have samples, after checking that each has its HELP and TYPE right before.
std::set<std::string> names_in(const std::string& text) {
  static const std::regex k_sample(
      R"re(([a-z_]+)\{([a-z_]+="(\\.|[^"\\])*")(,[a-z_]+="(\\.|[^"\\])*")*\} -?[0-9.e+]+)re");
  std::set<std::string> names;
  std::string help, type;
  for (const auto& line : lines_of(text)) {
    INFO(line);
    std::smatch match;
    if (line.starts_with("# HELP ")) {
      help = line.substr(7, line.find(' ', 7) - 7);
    } else if (line.starts_with("# TYPE ")) {
      type = line.substr(7, line.find(' ', 7) - 7);
      CHECK(type == help);
      CHECK(line.ends_with(" gauge"));
      CHECK_FALSE(names.contains(type));
    } else {
      REQUIRE(std::regex_match(line, match, k_sample));
      CHECK(match[1] == type);
      names.insert(type);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("metrics are a valid exposition with help and type for every name") {
  const auto names = names_in(metrics_text(some_metrics()));
  CHECK(names.size() >= 13);
}

TEST_CASE("metrics say what was given, to the digit") {
  const auto lines = lines_of(metrics_text(some_metrics()));
  const std::set<std::string> all(lines.begin(), lines.end());
  for (const auto* line : {
           R"(zipmodule_build_info{instance_host="web1",version="1.2.3"} 1)",
           R"(zipmodule_run_start_timestamp_seconds{instance_host="web1"} 1700000000.250)",
           R"(zipmodule_run_end_timestamp_seconds{instance_host="web1"} 1700000003.500)",
           R"(zipmodule_run_duration_seconds{instance_host="web1"} 3.250)",
           R"(zipmodule_run_success{instance_host="web1"} 0)",
           R"(zipmodule_run_outcome{instance_host="web1",outcome="failed"} 1)",
           R"(zipmodule_run_outcome{instance_host="web1",outcome="done"} 0)",
           R"(zipmodule_run_jobs{instance_host="web1",result="claimed"} 7)",
           R"(zipmodule_queue_jobs{instance_host="web1",state="pending"} 4)",
           R"(zipmodule_queue_jobs{instance_host="web1",state="failed"} 1)",
           R"(zipmodule_queue_oldest_due_age_seconds{instance_host="web1"} 60.500)",
           R"(zipmodule_run_last_success_timestamp_seconds{instance_host="web1"} 1699999910.000)",
           R"(zipmodule_store_free_bytes{instance_host="web1"} 123456789012)",
       }) {
    INFO(line);
    CHECK(all.contains(line));
  }
}

TEST_CASE("what is not known is left out of the metrics, not told as zero") {
  auto metrics = some_metrics();
  metrics.queue.reset();
  metrics.store_free_bytes.reset();
  const auto names = names_in(metrics_text(metrics));
  CHECK(names.contains("zipmodule_run_success"));
  for (const auto* name : {"zipmodule_queue_jobs", "zipmodule_store_free_bytes"}) CHECK_FALSE(names.contains(name));
}

TEST_CASE("a host's name can't break out of its label") {
  auto metrics = some_metrics();
  metrics.host = "a\"b\\c\nd";
  const auto text = metrics_text(metrics);
  names_in(text);
  CHECK_THAT(text, Catch::Contains(R"(instance_host="a\"b\\c\nd")"));
}

TEST_CASE("the metrics file is replaced whole, readable for all, and leaves nothing beside it") {
  const test::TempDir dir("metrics");
  const fs::path path = dir / "zipmodule.prom";
  test::write_file(path, "old");
  test::write_file(path.string() + ".tmp", "left by a crash, longer than what is written now");
  const mode_t umask_before = ::umask(0077);
  write_metrics(path, "new\n");
  ::umask(umask_before);
  CHECK(test::read_file(path) == "new\n");
  CHECK(test::listing(dir / "") == std::vector<std::string>{"zipmodule.prom"});
  CHECK(static_cast<int>(fs::status(path).permissions()) == 0644);
}

TEST_CASE("a link in the place of the temporary metrics file is not followed") {
  const test::TempDir dir("metrics");
  test::write_file(dir / "precious", "keep");
  fs::create_symlink(dir / "precious", dir / "z.prom.tmp");
  CHECK_THROWS_AS(write_metrics(dir / "z.prom", "new\n"), Error);
  CHECK(test::read_file(dir / "precious") == "keep");
}

TEST_CASE("a metrics file that can't be written is named") {
  const test::TempDir dir("metrics");
  CHECK_THROWS_WITH(write_metrics(dir / "nowhere/z.prom", "new\n"), Catch::Contains("nowhere/z.prom"));
}

TEST_CASE("the alert rules ask for metrics that there are") {
  const auto names = names_in(metrics_text(some_metrics()));
  const std::string rules = test::read_file(test::source_path("config/prometheus-alerts.yml"));
  static const std::regex k_name("zipmodule_[a-z_]+");
  int found = 0;
  for (std::sregex_iterator match(rules.begin(), rules.end(), k_name), end; match != end; ++match, ++found) {
    INFO(match->str());
    CHECK(names.contains(match->str()));
  }
  CHECK(found > 5);
}
