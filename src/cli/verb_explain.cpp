#include <chrono>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "cli/database.hpp"
#include "cli/explain.hpp"
#include "cli/format.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"

namespace zipmodule::cli {
namespace {

// The worker's configuration helps to explain, where it is here; where it has problems, that is part of the answer.
void add_configured(const Globals& globals, Surroundings& around) {
  std::error_code ignored;
  if (!std::filesystem::exists(globals.config_file, ignored) || !config::check(globals.config_file).empty()) return;
  const auto config = config::load(globals.config_file);
  around.roots.emplace();
  for (const auto& [name, path] : config.content.roots) around.roots->insert(name);
  around.max_attempts = config.run.max_attempts;
}

int explain_archive(const Globals& globals, const std::string& series, const std::string& archive) {
  queue::Reader reader(ready_connection(globals, "explain"));
  const auto detail = reader.detail(series, archive);
  if (!detail) return unknown_archive(series, archive);
  Surroundings around;
  around.now = std::chrono::system_clock::now();
  around.health = reader.health();
  if (globals.config_file_given) around.program += " --config " + shell_quoted(globals.config_file.string());
  add_configured(globals, around);
  if (globals.json) {
    print_json(explain_json(*detail, around));
  } else {
    print(explain_text(*detail, around));
  }
  return 0;
}

}  // namespace

Verb explain_verb(const Globals& globals) {
  auto series = std::make_shared<std::string>();
  auto archive = std::make_shared<std::string>();
  return {
      .name = "explain",
      .help = "Tell why an archive is in its state, and what happens next",
      .options =
          {
              {.name = "SERIES", .value = series.get(), .help = "What the archive belongs to", .required = true},
              {.name = "ARCHIVE", .value = archive.get(), .help = "Its name in the series", .required = true},
          },
      .action = [&globals, series, archive] { return explain_archive(globals, *series, *archive); },
  };
}

}  // namespace zipmodule::cli
