// One launch by cron: lock, recover, claim, build, commit, link, sweep, summary.
#pragma once

#include <stop_token>
#include <string>

#include "config/config.hpp"

namespace zipmodule::run {

struct Options {
  std::string version;
  bool show_progress = false;  // bars on stderr; only ever set when it is a terminal
};

// Runs until nothing is due, run.max_runtime nears or `stop` is requested. Returns the exit code: 0 all done or nothing
// to do, 1 some job failed, run.lock_busy_exit (with a message naming the holder) when the lock is held. Throws Error
// for what ends a run as a whole: config, database, database_setup, schema_version, store_unwritable.
int execute(const config::Config& config, const Options& options, std::stop_token stop);

}  // namespace zipmodule::run
