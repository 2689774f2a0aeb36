#include "cli/nagios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/database.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "config/units.hpp"

namespace zipmodule::cli {
namespace {

// Nagios kills a plugin after 60 s, NRPE after 10. Connecting has its own limit.
constexpr std::chrono::seconds k_patience{5};

constexpr double k_infinity = std::numeric_limits<double>::infinity();

std::optional<double> parse_bound(std::string_view text, NagiosRange::Unit unit) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size() && std::isfinite(number)) return number;
  if (unit == NagiosRange::Unit::count) return std::nullopt;
  const auto duration = config::parse_duration(text);
  if (!duration.value) return std::nullopt;
  return static_cast<double>(duration.value->count());
}

const char* word_of(NagiosState state) {
  switch (state) {
    case NagiosState::ok:
      return "OK";
    case NagiosState::warning:
      return "WARNING";
    case NagiosState::critical:
      return "CRITICAL";
    case NagiosState::unknown:
      break;
  }
  return "UNKNOWN";
}

// Whether `warn` could only alert where `crit` does: it would never be seen.
bool hidden(const NagiosRange& warn, const NagiosRange& crit) {
  if (warn.inside != crit.inside || (warn.start == crit.start && warn.end == crit.end)) return false;
  const auto& wide = warn.inside ? crit : warn;
  const auto& narrow = warn.inside ? warn : crit;
  return wide.start <= narrow.start && wide.end >= narrow.end;
}

struct Pair {
  NagiosRange warn, crit;
};

// `what` ends the names of both options. The same range twice is one that leaves warnings out.
Pair parse_pair(const char* what, const std::string& warn, const std::string& crit, NagiosRange::Unit unit) {
  const std::string warn_option = fmt::format("--warn-{}", what);
  const std::string crit_option = fmt::format("--crit-{}", what);
  const Pair pair{NagiosRange::parse(warn_option, warn, unit), NagiosRange::parse(crit_option, crit, unit)};
  if (hidden(pair.warn, pair.crit)) {
    throw Error(ErrorKind::usage,
                fmt::format("{} {} could never warn: {} {} is CRITICAL before", warn_option, warn, crit_option, crit),
                "give both, the warning the lower limit");
  }
  return pair;
}

// One figure, its limits, and how it is told.
struct Figure {
  const char* label;  // of the performance data
  const char* unit;
  double value;  // infinity: there is none
  Pair limits;
  std::string told;

  NagiosState state() const {
    if (limits.crit.alerts(value)) return NagiosState::critical;
    return limits.warn.alerts(value) ? NagiosState::warning : NagiosState::ok;
  }
  std::string performance() const {
    if (!std::isfinite(value)) return fmt::format("{}=U", label);
    return fmt::format("{}={:.0f}{};{};{};0", label, value, unit, limits.warn.text(), limits.crit.text());
  }
};

// libpq's messages have several lines, indented by tabs.
std::string one_line(const std::string& text) {
  std::string line;
  for (const char letter : text) {
    const bool blank = letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t';
    if (!blank)
      line += letter == '|' ? '/' : letter;  // a bar would begin the performance data
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  return printable(line);
}

std::vector<Figure> figures_of(const queue::Gauges& gauges, const NagiosLimits& limits) {
  using Unit = NagiosRange::Unit;
  const double run = gauges.success_seconds.value_or(k_infinity);
  return {
      {"oldest_due", "s", gauges.oldest_due_seconds, parse_pair("age", limits.warn_age, limits.crit_age, Unit::seconds),
       gauges.due == 0 ? "no job is due"
                       : fmt::format("{} due, the oldest for {}",
                                     human_count(static_cast<std::uint64_t>(gauges.due), "job", "jobs"),
                                     human_duration(gauges.oldest_due_seconds))},
      {"failed", "", static_cast<double>(gauges.failed),
       parse_pair("failed", limits.warn_failed, limits.crit_failed, Unit::count),
       fmt::format("{} failed", gauges.failed)},
      {"last_run", "s", run, parse_pair("run", limits.warn_run, limits.crit_run, Unit::seconds),
       std::isfinite(run) ? fmt::format("the last good run ended {} ago", human_duration(run))
                          : std::string("no run has ended well yet")},
      {"unseen_stores", "", static_cast<double>(gauges.unseen_stores),
       parse_pair("stores", limits.warn_stores, limits.crit_stores, Unit::count),
       gauges.unseen_stores == 0
           ? std::string("no store with archives is unseen")
           : fmt::format("no run has seen {} with archives for an hour",
                         human_count(static_cast<std::uint64_t>(gauges.unseen_stores), "store", "stores"))},
  };
}

int print_answer(const NagiosAnswer& answer) {
  print(answer.line + "\n");
  return static_cast<int>(answer.state);
}

int print_trouble(NagiosState state, const std::string& text) {
  return print_answer({state, fmt::format("{} - {}", word_of(state), one_line(text))});
}

}  // namespace

bool NagiosRange::alerts(double value) const noexcept { return (value >= start && value <= end) == inside; }

std::string NagiosRange::text() const {
  const auto number = [](double bound) { return fmt::format("{:g}", bound); };
  const auto whole = [&](double bound) {
    return std::abs(bound) < 1e15 && bound == std::floor(bound) ? fmt::format("{:.0f}", bound) : number(bound);
  };
  std::string text = inside ? "@" : "";
  if (start != 0 || !std::isfinite(end)) text += (std::isfinite(start) ? whole(start) : "~") + ":";
  if (std::isfinite(end)) text += whole(end);
  return text;
}

NagiosRange NagiosRange::parse(const std::string& option, const std::string& text, Unit unit) {
  const auto refuse = [&]() -> NagiosRange {
    throw Error(ErrorKind::usage, fmt::format("{}: '{}' is no range", option, text),
                unit == Unit::seconds ? "such as 30m, 5m:30m, 10m: or @0:5m" : "such as 10, 1:10, 10: or @0:5");
  };
  std::string_view rest = text;
  NagiosRange range;
  if (rest.starts_with('@')) {
    range.inside = true;
    rest.remove_prefix(1);
  }
  if (rest.empty()) return refuse();
  if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    const auto first = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    if (first == "~") {
      range.start = -k_infinity;
    } else if (!first.empty()) {
      const auto start = parse_bound(first, unit);
      if (!start) return refuse();
      range.start = *start;
    }
    if (rest.empty()) return range;
  }
  const auto end = parse_bound(rest, unit);
  if (!end || *end < range.start) return refuse();
  range.end = *end;
  return range;
}

NagiosAnswer nagios_answer(const queue::Gauges& gauges, const NagiosLimits& limits) {
  const auto figures = figures_of(gauges, limits);
  NagiosState worst = NagiosState::ok;
  std::string troubles, all, performance;
  for (const auto& figure : figures) {
    const auto state = figure.state();
    worst = std::max(worst, state);
    if (state != NagiosState::ok) troubles += (troubles.empty() ? "" : ", ") + figure.told;
    all += (all.empty() ? "" : ", ") + figure.told;
    performance += " " + figure.performance();
  }
  performance += fmt::format(" due={};;;0 waiting={};;;0 running={};;;0", gauges.due, gauges.waiting, gauges.running);
  return {worst, fmt::format("{} - {} |{}", word_of(worst), troubles.empty() ? all : troubles, performance)};
}

int nagios(const Globals& globals, const NagiosLimits& limits) {
  // A plugin has ten seconds in all; who has set it knows better.
  ::setenv("PGCONNECT_TIMEOUT", "4", 0);
  try {
    nagios_answer({}, limits);  // a slip in the limits is told even where the database is away
    const auto options = ready_connection(globals, "check");
    const auto gauges = queue::Upkeep(options, k_patience).gauges(limits.host);
    if (!gauges.host_known) {
      return print_trouble(NagiosState::unknown, fmt::format("no run of a host '{}' is known; --host takes the name in "
                                                             "run.host, as the view zipmodule.hosts has it",
                                                             limits.host));
    }
    return print_answer(nagios_answer(gauges, limits));
  } catch (const Error& error) {
    const bool away = error.kind() == ErrorKind::database;
    return print_trouble(away ? NagiosState::critical : NagiosState::unknown, error.what());
  } catch (const std::exception& error) {
    return print_trouble(NagiosState::unknown, error.what());
  }
}

}  // namespace zipmodule::cli
