#include <fmt/format.h>

#include <memory>

#include "base/log.hpp"
#include "base/signals.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "queue/migrations.hpp"
#include "run/prune.hpp"

namespace zipmodule::cli {
namespace {

int prune(const Globals& globals, bool tables_only) {
  const auto config = config::load(globals.config_file);
  const SignalStop signals;
  log::configure(globals.verbosity);
  queue::require_current_schema({config.database.dsn, "zipmodule prune"});
  const auto pruned = run::prune(config, tables_only, signals.token());
  if (globals.json) {
    print_json(Json{{"telemetry", pruned.telemetry},
                    {"runs", pruned.runs},
                    {"builds", pruned.builds ? Json(*pruned.builds) : Json()}});
    return 0;
  }
  print(fmt::format("removed {} of telemetry, {}", human_count(pruned.telemetry, "row", "rows"),
                    human_count(pruned.runs, "run", "runs")));
  if (pruned.builds)
    print(fmt::format(", {}\n", human_count(*pruned.builds, "replaced build", "replaced builds")));
  else
    print(fmt::format("; replaced builds were left alone: {}\n", printable(pruned.why_not_builds)));
  return 0;
}

}  // namespace

Verb prune_verb(const Globals& globals) {
  auto tables_only = std::make_shared<bool>(false);
  return {
      .name = "prune",
      .help = "Remove old telemetry, runs and replaced builds, as runs do every hour",
      .options =
          {
              {.name = "--tables",
               .value = tables_only.get(),
               .help = "Only the database's rows: needs an operator's rights and no store, but the configuration "
                       "with its keep.*"},
          },
      .action = [&globals, tables_only] { return prune(globals, *tables_only); },
  };
}

}  // namespace zipmodule::cli
