// `check --nagios`: one line and an exit code, as the Monitoring Plugins guidelines want them.
#pragma once

#include <limits>
#include <string>

#include "cli/verbs.hpp"
#include "queue/upkeep.hpp"

namespace zipmodule::cli {

enum class NagiosState { ok = 0, warning = 1, critical = 2, unknown = 3 };

// [@][start:][end]: an alert is what lies outside of start..end, both included, or with @ inside. start is 0 where it
// is left out, ~ is minus infinity; end is infinity where it is left out behind a colon.
struct NagiosRange {
  double start = 0;
  double end = std::numeric_limits<double>::infinity();
  bool inside = false;

  bool alerts(double value) const noexcept;
  std::string text() const;  // in plain numbers, for performance data

  enum class Unit { count, seconds };  // seconds: durations as in the configuration, such as 30m; plain numbers as well
  // Throws Error{usage} that names `option`.
  static NagiosRange parse(const std::string& option, const std::string& text, Unit unit);
};

struct NagiosLimits {
  std::string warn_age = "10m", crit_age = "30m";     // how long the oldest due job has been due
  std::string warn_failed = "0", crit_failed = "10";  // failed jobs
  // Since a run ended well. Those at work don't count, and run.max_runtime is 55 minutes.
  std::string warn_run = "90m", crit_run = "3h";
  std::string warn_stores = "0", crit_stores = "~:";  // stores with archives that no run has seen for an hour
  std::string host;                                   // whose runs count; all where empty
};

struct NagiosAnswer {
  NagiosState state = NagiosState::unknown;
  std::string line;  // without newline
};

// The judgement. Throws Error{usage} for limits that can't be read, and for a warning that could only come together
// with CRITICAL.
NagiosAnswer nagios_answer(const queue::Gauges& gauges, const NagiosLimits& limits);

// Asks the database, prints the line, returns the exit code. Never throws, and never takes longer than a plugin may: a
// database that can't be reached is CRITICAL, all other trouble UNKNOWN, wrong limits and a host that never ran
// included.
int nagios(const Globals& globals, const NagiosLimits& limits);

}  // namespace zipmodule::cli
