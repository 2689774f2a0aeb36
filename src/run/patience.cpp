#include "run/patience.hpp"

#include "base/log.hpp"

namespace zipmodule::run {
namespace {

// How long a run without a lease goes on: a restart or a failover should not end one that lingers.
constexpr double k_away_seconds = 15;

}  // namespace

bool Patience::bears(const Error& error, const Stopwatch& away) const {
  if (error.kind() != ErrorKind::database || stop_.stop_requested()) return false;
  if (!leases_.any_alive() && away.seconds() > k_away_seconds) return false;
  log::warn("{}; trying again", error.what());
  return true;
}

}  // namespace zipmodule::run
