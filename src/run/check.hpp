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
  std::string name;    // what was probed: "database", "root media", "store", "lock", "space", "builds"
  std::string detail;  // what was found
  std::string hint;    // what to do about it; empty when ok
  ErrorKind kind = ErrorKind::internal;  // of a problem: decides the exit code
};

// Probes database (connect, schema, rights), content roots (open, list), store (write, sync, rename, link, remove), lock
// and free space, and audits all current builds: presence and size of each, and every byte of those touched since they
// were built, or of all with `deep`. Changes nothing but a probe file that it removes. Never throws for what it finds.
std::vector<CheckResult> check(const config::Config& config, bool deep);

}  // namespace zipmodule::run
