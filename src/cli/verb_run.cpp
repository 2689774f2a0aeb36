#include <unistd.h>

#include <memory>

#include "base/log.hpp"
#include "base/signals.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "run/run.hpp"

namespace zipmodule::cli {
namespace {

struct RunArguments {
  bool dry_run = false;
  bool quiet = false;
};

int run(const Globals& globals, const RunArguments& arguments) {
  const auto config = config::load(globals.config_file);
  if (arguments.dry_run) {
    log::configure(globals.verbosity);
    return run::dry_run(config, globals.json);
  }
  // Before any other thread, so that all inherit the blocked signals.
  const SignalStop signals;
  log::configure(globals.verbosity, config.log.file);
  const bool show_progress = !arguments.quiet && ::isatty(STDERR_FILENO) == 1;
  return run::execute(config, {version(), show_progress}, signals.token());
}

}  // namespace

void add_run(CLI::App& app, Invocation& invocation) {
  auto* verb = app.add_subcommand("run", "Build what is due, as cron does every minute");
  auto arguments = std::make_shared<RunArguments>();
  verb->add_flag("--dry-run", arguments->dry_run, "Print what would be built, entry by entry; change nothing");
  verb->add_flag("-q,--quiet", arguments->quiet, "No progress bars on a terminal either");
  verb->callback([&invocation, arguments] {
    invocation.action = [&invocation, arguments] { return run(invocation.globals, *arguments); };
  });
}

}  // namespace zipmodule::cli
