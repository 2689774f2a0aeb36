// The probes of `check` that ask the database how queue and tables are. Each returns a result without a name, and throws
// what the database throws.
#pragma once

#include "config/config.hpp"
#include "run/check.hpp"

namespace zipmodule::run {

// Late and failed jobs.
CheckResult check_queue(const config::Config& config);
// Due jobs for stores that no host has.
CheckResult check_stores(const config::Config& config);
// Dead rows of the hot table against live ones.
CheckResult check_tables(const config::Config& config);
// What keeps vacuum from removing them: old transactions, prepared ones, replication slots, standbys.
CheckResult check_vacuum(const config::Config& config);

}  // namespace zipmodule::run
