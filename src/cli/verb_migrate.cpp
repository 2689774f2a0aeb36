#include <fmt/format.h>

#include <memory>

#include "cli/database.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "queue/migrations.hpp"

namespace zipmodule::cli {
namespace {

int migrate(const Globals& globals, bool dry_run) {
  const auto applied = queue::migrate(connection_options(globals, "migrate"), dry_run);
  if (globals.json) {
    Json document{{"dry_run", dry_run}, {"schema_version", queue::known_schema_version()}, {"applied", Json::array()}};
    for (const auto& migration : applied) {
      document["applied"].push_back({{"version", migration.version}, {"name", migration.name}});
    }
    print_json(document);
    return 0;
  }
  for (const auto& migration : applied) {
    print(fmt::format("{} {}\n", dry_run ? "would apply" : "applied", migration.name));
  }
  if (applied.empty())
    print(fmt::format("nothing to do: the schema is at version {}\n", queue::known_schema_version()));
  return 0;
}

}  // namespace

Verb migrate_verb(const Globals& globals) {
  auto dry_run = std::make_shared<bool>(false);
  return {
      .name = "migrate",
      .help = "Install or upgrade schema, functions, views and roles",
      .options = {{.name = "--dry-run", .value = dry_run.get(), .help = "Print what would be applied"}},
      .action = [&globals, dry_run] { return migrate(globals, *dry_run); },
  };
}

}  // namespace zipmodule::cli
