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

void add_limits(CLI::App& verb, CLI::Option& nagios_flag, NagiosLimits& limits) {
  const auto add = [&](const char* name, std::string& to, const std::string& meaning) {
    verb.add_option(name, to, meaning)->option_text(fmt::format("RANGE [{}]", to))->needs(&nagios_flag);
  };
  add("--warn-age", limits.warn_age, "WARNING where the oldest due job has been due for longer");
  add("--crit-age", limits.crit_age, "CRITICAL where it has");
  add("--warn-failed", limits.warn_failed, "WARNING where more jobs are failed");
  add("--crit-failed", limits.crit_failed, "CRITICAL where more are");
  add("--warn-run", limits.warn_run, "WARNING where the last run that ended well ended longer ago");
  add("--crit-run", limits.crit_run, "CRITICAL where it did");
  // An empty name, of a variable that was not set, would be all hosts.
  const auto named = [](const std::string& host) { return std::string(host.empty() ? "must not be empty" : ""); };
  verb.add_option("--host", limits.host, "Only this host's runs count; UNKNOWN where it never ran")
      ->check(named)
      ->option_text("NAME [all]")
      ->needs(&nagios_flag);
}

}  // namespace

void add_check(CLI::App& app, Invocation& invocation) {
  auto* verb = app.add_subcommand("check", "Try out database, content roots, store, lock and space; audit the builds");
  auto arguments = std::make_shared<CheckArguments>();
  auto* deep = verb->add_flag("--deep", arguments->deep, "Read every byte of every current build");
  auto* nagios_flag = verb->add_flag("--nagios", arguments->nagios,
                                     "Only ask the database about queue and runs: one line for Nagios and its likes, "
                                     "exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN");
  nagios_flag->excludes(deep);
  add_limits(*verb, *nagios_flag, arguments->limits);
  verb->callback([&invocation, arguments] {
    invocation.action = [&invocation, arguments] {
      if (!arguments->nagios) return check(invocation.globals, arguments->deep);
      if (invocation.globals.json)
        throw Error(ErrorKind::usage, "--nagios and --json exclude each other", "see `zipmodule check --help`");
      return nagios(invocation.globals, arguments->limits);
    };
  });
}

}  // namespace zipmodule::cli
