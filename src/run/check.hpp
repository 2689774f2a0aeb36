// A real end-to-end probe of everything a run needs, for `zipmodule check` and monitoring.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/config.hpp"

namespace zipmodule::run {

struct CheckResult {
  enum class Level { ok, warning, problem };
  Level level = Level::ok;
  // What was probed: "database", "root media", "store", "identity", "links", "unknown", "space", "lock", "metrics",
  // "ping", "queue", "stores", "tables", "vacuum", "builds".
  std::string name;
  std::string detail;                    // what was found
  std::string hint;                      // what to do about it; empty when ok
  ErrorKind kind = ErrorKind::internal;  // of a problem: decides the exit code
};

// Probes database (connect, schema, rights), content roots (open, list), store (write, sync, rename, remove), lock,
// free space, and where they are configured the folder of the metrics file and the ping's address, which is not called;
// asks for late jobs, jobs that no host builds, dead rows and what keeps vacuum from removing them, compares all links
// with the database, and audits all current builds: presence and size of each, and every byte of those touched since
// they were built, or of all with `deep`. Creates nothing but probe files that it removes: what is missing is told, so
// that a check by one user leaves nothing that another user's run trips over. A run may be at work at the same time.
// Never throws for what it finds.
std::vector<CheckResult> check(const config::Config& config, bool deep);

}  // namespace zipmodule::run
