#include "run/prune.hpp"

#include <fmt/format.h>

#include <exception>
#include <functional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/file_lock.hpp"
#include "base/log.hpp"
#include "queue/upkeep.hpp"
#include "run/housekeeping.hpp"
#include "run/site.hpp"

namespace zipmodule::run {
namespace {

// A few milliseconds of locks each; larger ones save next to nothing.
constexpr std::size_t k_batch = 1'000;
constexpr std::chrono::hours k_interval{1};
// A run holds the lock meanwhile: a minute's publishes must not wait for years of telemetry.
constexpr double k_most_seconds = 30;

Pruned prune_tables(queue::Upkeep& upkeep, const config::Keep& keep, const std::function<bool()>& go_on) {
  Pruned pruned;
  pruned.telemetry = upkeep.prune_telemetry(keep.telemetry, k_batch, go_on);
  pruned.telemetry += upkeep.prune_deliveries(keep.telemetry, k_batch, go_on);
  pruned.runs = upkeep.prune_runs(keep.runs, k_batch, go_on);
  return pruned;
}

void prune_builds(const config::Config& config, Pruned& pruned, const std::stop_token& stop) {
  std::error_code ignored;
  if (!std::filesystem::exists(config.archives.root, ignored)) {
    pruned.why_not_builds = fmt::format("{} is not there", config.archives.root.string());
    return;
  }
  const archive::Store store(config.archives.root, config.archives.min_free_bytes, access_of(config.archives),
                             archive::Folders::expected);
  queue::Worker worker(worker_options(config, store_id(store.tree())));
  const StoreState state = look_at_store(store.tree(), worker);
  if (const auto error = refusal(state, store.tree())) throw Error(*error);
  // Nothing was ever built here. The lock's file would be made by who prunes, and be in the way of who runs.
  if (state.standing == Standing::fresh) {
    pruned.builds = 0;
    return;
  }
  const auto lock = store.try_lock();
  if (!lock) {
    pruned.why_not_builds =
        fmt::format("a run is at work and removes them itself: {}", FileLock::holder(store.lock_path()));
    return;
  }
  pruned.builds = collect_garbage(store, worker, config.archives.grace, stop);
}

}  // namespace

void prune_hourly(const config::Config& config, const std::stop_token& stop) noexcept {
  try {
    queue::Upkeep upkeep({config.database.dsn, "zipmodule run"});
    if (stop.stop_requested() || !upkeep.begin(k_interval)) return;
    const Stopwatch watch;
    const auto pruned =
        prune_tables(upkeep, config.keep, [&] { return !stop.stop_requested() && watch.seconds() < k_most_seconds; });
    if (pruned.telemetry + pruned.runs > 0)
      log::info("{} rows of telemetry and {} of runs were pruned", pruned.telemetry, pruned.runs);
  } catch (const Error& error) {
    log::warn("tables could not be pruned: {}", error.full_text());
  } catch (const std::exception& error) {
    log::warn("tables could not be pruned: {}", error.what());
  }
}

Pruned prune(const config::Config& config, bool tables_only, const std::stop_token& stop) {
  queue::Upkeep upkeep({config.database.dsn, "zipmodule prune"});
  Pruned pruned = prune_tables(upkeep, config.keep, [&] { return !stop.stop_requested(); });
  if (tables_only)
    pruned.why_not_builds = "--tables";
  else
    prune_builds(config, pruned, stop);
  return pruned;
}

}  // namespace zipmodule::run
