#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/format.hpp"
#include "cli/nagios.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "run/check.hpp"

namespace zipmodule::cli {
namespace {

using run::CheckResult;

struct Level {
  const char* word;
  const char* json;
  Colour colour;
};

// In the order of CheckResult::Level.
constexpr auto k_levels = std::to_array<Level>({
    {"ok", "ok", Colour::green},
    {"warn", "warning", Colour::yellow},
    {"FAIL", "problem", Colour::red},
});

const Level& level_of(const CheckResult& result) { return k_levels[static_cast<std::size_t>(result.level)]; }

// That of the first problem; 0 where there is none.
int exit_code_of(const std::vector<CheckResult>& results) {
  const auto problem = std::find_if(results.begin(), results.end(), [](const CheckResult& result) {
    return result.level == CheckResult::Level::problem;
  });
  return problem == results.end() ? 0 : traits_of(problem->kind).exit_code;
}

void print_lines(const std::vector<CheckResult>& results) {
  const bool with_colours = stdout_has_colours();
  for (const auto& result : results) {
    const Level& level = level_of(result);
    const std::string word = fmt::format("{:<4}", level.word);
    print(fmt::format("{}  {}: {}\n", with_colours ? coloured(word, level.colour) : word, printable(result.name),
                      printable(result.detail)));
    if (!result.hint.empty()) print(fmt::format("      hint: {}\n", printable(result.hint)));
  }
}

int check(const Globals& globals, bool deep) {
  const auto config = config::load(globals.config_file);
  log::configure(globals.verbosity);
  const auto results = run::check(config, deep);
  if (globals.json) {
    Json rows = Json::array();
    for (const auto& result : results) {
      rows.push_back(
          {{"name", result.name}, {"level", level_of(result).json}, {"detail", result.detail}, {"hint", result.hint}});
    }
    print_json(rows);
  } else {
    print_lines(results);
  }
  return exit_code_of(results);
}

struct CheckArguments {
  bool deep = false;
  bool nagios = false;
  NagiosLimits limits;
};

Option limit(const char* name, std::string& value, const char* help) {
  return {.name = name, .value = &value, .help = help, .shown = fmt::format("RANGE [{}]", value), .needs = "--nagios"};
}

int check_or_nagios(const Globals& globals, const CheckArguments& arguments) {
  if (!arguments.nagios) return check(globals, arguments.deep);
  if (globals.json)
    throw Error(ErrorKind::usage, "--nagios and --json exclude each other", "see `zipmodule check --help`");
  return nagios(globals, arguments.limits);
}

}  // namespace

Verb check_verb(const Globals& globals) {
  auto arguments = std::make_shared<CheckArguments>();
  auto& limits = arguments->limits;
  return {
      .name = "check",
      .help = "Try out database, content roots, store, lock and space; audit the builds",
      .options =
          {
              {.name = "--deep", .value = &arguments->deep, .help = "Read every byte of every current build"},
              {.name = "--nagios",
               .value = &arguments->nagios,
               .help = "Only ask the database about queue and runs: one line for Nagios and its likes, "
                       "exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
               .excludes = "--deep"},
              limit("--warn-age", limits.warn_age, "WARNING where the oldest due job has been due for longer"),
              limit("--crit-age", limits.crit_age, "CRITICAL where it has"),
              limit("--warn-failed", limits.warn_failed, "WARNING where more jobs are failed"),
              limit("--crit-failed", limits.crit_failed, "CRITICAL where more are"),
              limit("--warn-run", limits.warn_run, "WARNING where the last run that ended well ended longer ago"),
              limit("--crit-run", limits.crit_run, "CRITICAL where it did"),
              limit(
                  "--warn-stores", limits.warn_stores,
                  "WARNING where no run has seen more stores with archives for an hour: a disk or a container's volume "
                  "was left out"),
              limit("--crit-stores", limits.crit_stores, "CRITICAL where more"),
              // An empty name, of a variable that was not set, would be all hosts.
              {.name = "--host",
               .value = &limits.host,
               .help = "Only this host's runs count; UNKNOWN where it never ran",
               .shown = "NAME [all]",
               .not_empty = true,
               .needs = "--nagios"},
          },
      .action = [&globals, arguments] { return check_or_nagios(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
