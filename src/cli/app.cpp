#include "cli/app.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/nearest.hpp"

namespace zipmodule::cli {
namespace {

using AddVerb = void (*)(CLI::App&, Invocation&);

// In the order of the help text.
constexpr auto k_verbs = std::to_array<AddVerb>({
    add_run,
    add_publish,
    add_status,
    add_explain,
    add_retry,
    add_cancel,
    add_migrate,
    add_prune,
    add_check_config,
    add_check,
    add_zip,
    add_inspect,
    add_bench_claim,
});

constexpr const char* k_footer =
    "Every verb also takes --config FILE, --json, -v and --version, before or after its name.\n"
    "Exit codes: 0 done or nothing to do, 1 some job failed, 64 usage, 69 database unreachable,\n"
    "70 a bug, 73 store can't be written, 74 I/O error, 75 lock held, 78 configuration.";

void add_globals(CLI::App& app, Globals& globals) {
  globals.config_file = "/etc/zipmodule/zipmodule.yaml";
  app.add_option("--config", globals.config_file, "The configuration file")
      ->option_text("FILE [/etc/zipmodule/zipmodule.yaml]")
      ->envname("ZIPMODULE_CONFIG");
  app.add_flag("--json", globals.json, "Print data as JSON");
  app.add_flag("-v,--verbose", globals.verbosity, "Say more on stderr; twice: even more");
  app.set_version_flag("--version", fmt::format("zipmodule {}", version()), "Print the version");
}

std::string command_of(const CLI::App& app) {
  const auto verbs = app.get_subcommands();
  return verbs.empty() ? "zipmodule" : "zipmodule " + verbs.front()->get_name();
}

// CLI11 only says that a subcommand is missing, also where one was misspelt.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& failure) {
  if (!app.get_subcommands().empty()) return failure.what();
  const auto words = app.remaining();
  const auto word = std::find_if(words.begin(), words.end(), [](const auto& text) { return !text.starts_with('-'); });
  if (word == words.end())
    return words.empty() ? "a verb is missing" : fmt::format("unknown option '{}'", words.front());
  std::vector<std::string> names;
  for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(verb->get_name());
  const auto meant = config::nearest(*word, names);
  return fmt::format("unknown verb '{}'{}", *word, meant ? fmt::format("; did you mean '{}'?", *meant) : "");
}

// The arguments, last first, as CLI11 takes them. --verify-reuse may stand alone; to an option that may, CLI11 gives no word
// behind a blank, so what can only be its word is joined to it.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string_view argument = argv[i];
    const bool its_word = argument == "--verify-reuse" && !arguments.empty() &&
                          (arguments.back() == "never" || arguments.back() == "sample" || arguments.back() == "always");
    if (its_word)
      arguments.back().insert(0, "--verify-reuse=");
    else
      arguments.emplace_back(argument);
  }
  return arguments;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Builds download archives that were published through PostgreSQL.", "zipmodule");
  Invocation invocation;
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(k_footer);
  add_globals(app, invocation.globals);
  for (const AddVerb add : k_verbs) add(app, invocation);
  try {
    app.parse(arguments_of(argc, argv));
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return 0;
  } catch (const CLI::CallForVersion& called) {
    print(fmt::format("{}\n", called.what()));
    return 0;
  } catch (const CLI::ParseError& failure) {
    throw Error(ErrorKind::usage, usage_problem(app, failure), fmt::format("see `{} --help`", command_of(app)));
  }
  invocation.globals.config_file_given = app.count("--config") > 0;
  const int exit_code = invocation.action();
  print("");  // whatever a verb left in stdout's buffer
  return exit_code;
}

}  // namespace

const char* version() noexcept { return ZIPMODULE_VERSION; }

int run_app(int argc, char** argv) {
  try {
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    return parse_and_run(argc, argv);
  } catch (const Error& error) {
    message(error.what(), error.hint());
    return traits_of(error.kind()).exit_code;
  } catch (const std::system_error& error) {
    // A reader that went away, as in `zipmodule status | head -1`.
    if (error.code() == std::errc::broken_pipe) return 0;
    message(error.what());
  } catch (const std::exception& error) {
    message(error.what());
  }
  return traits_of(ErrorKind::internal).exit_code;
}

}  // namespace zipmodule::cli
