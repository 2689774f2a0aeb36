#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/config_json.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"

namespace zipmodule::cli {
namespace {

int report(const Globals& globals, const std::vector<config::Problem>& problems) {
  if (globals.json) {
    Json document{{"ok", false}, {"problems", Json::array()}};
    for (const auto& problem : problems) {
      const Json line = problem.line == 0 ? Json() : Json(problem.line);
      document["problems"].push_back({{"file", problem.file}, {"line", line}, {"text", problem.text}});
    }
    print_json(document);
  } else {
    for (const auto& problem : problems) print(fmt::format("{}\n", config::to_string(problem)));
  }
  message(fmt::format("{} in {}", human_count(problems.size(), "problem", "problems"), globals.config_file.string()));
  return traits_of(ErrorKind::config).exit_code;
}

// One line per key: "run.lease: 60s".
std::string flat_text(const Json& value, const std::string& name) {
  if (!value.is_object())
    return fmt::format("{}: {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  std::string text;
  for (const auto& [key, member] : value.items())
    text += flat_text(member, name.empty() ? key : fmt::format("{}.{}", name, key));
  return text;
}

int check_config(const Globals& globals) {
  const auto problems = config::check(globals.config_file);
  if (!problems.empty()) return report(globals, problems);
  const auto resolved = to_json(config::load(globals.config_file));
  if (globals.json) {
    print_json(Json{{"ok", true}, {"problems", Json::array()}, {"config", resolved}});
    return 0;
  }
  print("ok\n");
  if (globals.verbosity > 0) print(flat_text(resolved, ""));
  return 0;
}

}  // namespace

Verb check_config_verb(const Globals& globals) {
  return {
      .name = "check-config",
      .help = "Report every problem of the configuration file at once",
      .action = [&globals] { return check_config(globals); },
  };
}

}  // namespace zipmodule::cli
