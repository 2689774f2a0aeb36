#include "cli/command_line.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>

#include "base/error.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/nearest.hpp"

namespace zipmodule::cli {
namespace {

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

CLI::Option* add_value(CLI::App& app, const Option& option) {
  if (auto* const* flag = std::get_if<bool*>(&option.value)) return app.add_flag(option.name, **flag, option.help);
  if (option.alone != nullptr) {
    return app.add_flag(fmt::format("{}{{{}}}", option.name, option.alone), *std::get<std::string*>(option.value),
                        option.help);
  }
  return std::visit([&](auto* value) { return app.add_option(option.name, *value, option.help); }, option.value);
}

void add_option(CLI::App& app, const Option& option) {
  auto* added = add_value(app, option);
  added->required(option.required);
  if (!option.one_of.empty()) added->check(CLI::IsMember(option.one_of));
  if (option.range) added->check(CLI::Range(option.range->first, option.range->second));
  if (option.not_empty) {
    added->check([](const std::string& word) { return std::string(word.empty() ? "must not be empty" : ""); });
  }
  if (added->get_positional()) {
    added->type_name("");
  } else if (std::holds_alternative<std::vector<std::string>*>(option.value)) {
    added->type_name(option.shown)->allow_extra_args(false);  // one word each time the option is given
  } else if (!option.shown.empty()) {
    added->option_text(option.shown);
  }
}

void add_verb(CLI::App& app, const Verb& verb, std::function<int()>& chosen) {
  auto* added = app.add_subcommand(verb.name, verb.help);
  if (verb.hidden) added->group("");
  for (const auto& option : verb.options) add_option(*added, option);
  for (const auto& option : verb.options) {
    if (option.needs != nullptr) added->get_option(option.name)->needs(added->get_option(option.needs));
    if (option.excludes != nullptr) added->get_option(option.name)->excludes(added->get_option(option.excludes));
  }
  added->callback([&verb, &chosen] { chosen = verb.action; });
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

// Whether `word` can only be the word of `name`, an option that may stand alone.
bool belongs_to(std::string_view word, std::string_view name, const std::vector<Verb>& verbs) {
  for (const auto& verb : verbs) {
    for (const auto& option : verb.options) {
      if (option.alone == nullptr || name != option.name) continue;
      if (std::find(option.one_of.begin(), option.one_of.end(), word) != option.one_of.end()) return true;
    }
  }
  return false;
}

// The arguments, last first, as CLI11 takes them. To an option that may stand alone, CLI11 gives no word behind a
// blank, so what can only be its word is joined to it.
std::vector<std::string> arguments_of(int argc, char** argv, const std::vector<Verb>& verbs) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string_view argument = argv[i];
    if (!arguments.empty() && belongs_to(arguments.back(), argument, verbs))
      arguments.back().insert(0, fmt::format("{}=", argument));
    else
      arguments.emplace_back(argument);
  }
  return arguments;
}

std::function<int()> print_only(std::string text) {
  return [text = std::move(text)] {
    print(text);
    return 0;
  };
}

}  // namespace

std::function<int()> parse_command_line(int argc, char** argv, const std::vector<Verb>& verbs, Globals& globals) {
  CLI::App app("Builds download archives that were published through PostgreSQL.", "zipmodule");
  std::function<int()> chosen;
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(k_footer);
  add_globals(app, globals);
  for (const auto& verb : verbs) add_verb(app, verb, chosen);
  try {
    app.parse(arguments_of(argc, argv, verbs));
  } catch (const CLI::CallForHelp&) {
    return print_only(app.help());
  } catch (const CLI::CallForVersion& called) {
    return print_only(fmt::format("{}\n", called.what()));
  } catch (const CLI::ParseError& failure) {
    throw Error(ErrorKind::usage, usage_problem(app, failure), fmt::format("see `{} --help`", command_of(app)));
  }
  globals.config_file_given = app.count("--config") > 0;
  return chosen;
}

}  // namespace zipmodule::cli
