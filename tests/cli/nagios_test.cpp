#include "cli/nagios.hpp"

#include <limits>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace zipmodule;
using namespace zipmodule::cli;

namespace {

using Unit = NagiosRange::Unit;

NagiosRange seconds(const std::string& text) { return NagiosRange::parse("--warn-age", text, Unit::seconds); }
NagiosRange count(const std::string& text) { return NagiosRange::parse("--warn-failed", text, Unit::count); }

queue::Gauges healthy() {
  queue::Gauges gauges;
  gauges.success_seconds = 20;
  return gauges;
}

NagiosAnswer judged(const queue::Gauges& gauges, const NagiosLimits& limits = {}) {
  return nagios_answer(gauges, limits);
}

}  // namespace

TEST_CASE("ranges alert as the guidelines of the monitoring plugins say") {
  CHECK(count("10").alerts(11));
  CHECK_FALSE(count("10").alerts(10));
  CHECK_FALSE(count("10").alerts(0));
  CHECK(count("10").alerts(-1));
  CHECK(count("10:").alerts(9));
  CHECK_FALSE(count("10:").alerts(1e9));
  CHECK(count("~:10").alerts(11));
  CHECK_FALSE(count("~:10").alerts(-1e9));
  CHECK(count("10:20").alerts(9));
  CHECK(count("10:20").alerts(21));
  CHECK_FALSE(count("10:20").alerts(15));
  CHECK(count("@10:20").alerts(10));
  CHECK(count("@10:20").alerts(20));
  CHECK_FALSE(count("@10:20").alerts(21));
  CHECK(count("10").alerts(std::numeric_limits<double>::infinity()));
}

TEST_CASE("ranges of time take durations and plain seconds") {
  CHECK(seconds("5m").alerts(301));
  CHECK_FALSE(seconds("5m").alerts(300));
  CHECK(seconds("300").text() == "300");
  CHECK(seconds("1h30m").text() == "5400");
  CHECK(seconds("1m:5m").text() == "60:300");
  CHECK(seconds("@5m").text() == "@300");
  CHECK(count("~:5").text() == "~:5");
  CHECK(count("5:").text() == "5:");
}

TEST_CASE("what is no range is refused by the name of its option") {
  for (const auto* text : {"", "@", "5x", "10:5", "1:2:3", "five", "nan", "inf", "5 m"}) {
    INFO(text);
    CHECK_THROWS_WITH(seconds(text), Catch::Contains("--warn-age"));
  }
  CHECK_THROWS_AS(count("5m"), Error);
}

TEST_CASE("a healthy queue is OK on one line with performance data") {
  auto gauges = healthy();
  gauges.running = 2;
  const auto answer = judged(gauges);
  CHECK(answer.state == NagiosState::ok);
  CHECK(answer.line ==
        "OK - no job is due, 0 failed, the last good run ended 20s ago, no store with archives is unseen | "
        "oldest_due=0s;600;1800;0 failed=0;0;10;0 last_run=20s;5400;10800;0 unseen_stores=0;0;~:;0 due=0;;;0 "
        "waiting=0;;;0 "
        "running=2;;;0");
}

TEST_CASE("each figure has its own limits, and the worst state counts") {
  auto gauges = healthy();
  gauges.failed = 1;
  CHECK(judged(gauges).state == NagiosState::warning);
  CHECK_THAT(judged(gauges).line, Catch::StartsWith("WARNING - 1 failed |"));
  gauges.due = 3;
  gauges.oldest_due_seconds = 1801;
  CHECK(judged(gauges).state == NagiosState::critical);
  CHECK_THAT(judged(gauges).line, Catch::StartsWith("CRITICAL - 3 jobs due, the oldest for 30m 1s, 1 failed |"));
  NagiosLimits limits;
  limits.crit_age = "2h";
  CHECK(judged(gauges, limits).state == NagiosState::warning);
  gauges = healthy();
  gauges.success_seconds = 4 * 3600;
  CHECK(judged(gauges).state == NagiosState::critical);
}

TEST_CASE("a store with archives that no run has seen for an hour is a warning") {
  auto gauges = healthy();
  gauges.unseen_stores = 1;
  CHECK(judged(gauges).state == NagiosState::warning);
  CHECK_THAT(judged(gauges).line, Catch::StartsWith("WARNING - no run has seen 1 store with archives for an hour |"));
}

TEST_CASE("a queue whose runs have never ended well is CRITICAL, and its age unknown") {
  const auto answer = judged({});
  CHECK(answer.state == NagiosState::critical);
  CHECK_THAT(answer.line, Catch::Contains("no run has ended well yet |"));
  CHECK_THAT(answer.line, Catch::Contains("last_run=U "));
}

TEST_CASE("a warning that could come only together with CRITICAL is a slip in the limits") {
  const auto refused = [](const std::string& warn, const std::string& crit) {
    NagiosLimits limits;
    limits.warn_failed = warn;
    limits.crit_failed = crit;
    try {
      judged(healthy(), limits);
      return false;
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::usage);
      CHECK_THAT(error.what(), Catch::Contains("--warn-failed") && Catch::Contains("--crit-failed"));
      return true;
    }
  };
  CHECK(refused("11", "10"));
  CHECK(refused("5:", "10:"));
  CHECK(refused("@2:3", "@1:3"));
  CHECK(refused("0:20", "5:10"));
  CHECK_FALSE(refused("10", "10"));
  CHECK_FALSE(refused("10:", "5:"));
  CHECK_FALSE(refused("@1:3", "@2:3"));
  CHECK_FALSE(refused("5:20", "10:30"));
  CHECK_FALSE(refused("@1:3", "10"));
}
