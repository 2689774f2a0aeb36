// Keeping the tables small: what is history goes by age, as the configuration's section `keep` says.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "config/config.hpp"

namespace zipmodule::run {

struct Pruned {
  std::uint64_t telemetry = 0;
  std::uint64_t runs = 0;
  std::optional<std::size_t> builds;  // replaced builds of this host's store; empty: left alone
  std::string why_not_builds;         // where they were
};

// At the end of a run: telemetry and runs, at most once an hour over all hosts, and for half a minute at most: what is left
// is the next hour's. Never throws: trouble is a warning, for the archives are built.
void prune_hourly(const config::Config& config, const std::stop_token& stop) noexcept;

// All of it, until nothing is old enough: telemetry, runs, and where the store's lock is free, replaced builds. In
// transactions of its own of 1,000 rows each. With `tables_only` it needs no store, and an operator's rights. Throws
// Error{database, database_setup, store_unwritable, config}.
Pruned prune(const config::Config& config, bool tables_only, const std::stop_token& stop);

}  // namespace zipmodule::run
