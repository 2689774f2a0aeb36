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

void add_migrate(CLI::App& app, Invocation& invocation) {
  auto* verb = app.add_subcommand("migrate", "Install or upgrade schema, functions, views and roles");
  auto dry_run = std::make_shared<bool>(false);
  verb->add_flag("--dry-run", *dry_run, "Print what would be applied");
  verb->callback([&invocation, dry_run] {
    invocation.action = [&invocation, dry_run] { return migrate(invocation.globals, *dry_run); };
  });
}

}  // namespace zipmodule::cli
