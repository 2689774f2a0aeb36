#include "run/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <exception>
#include <optional>

#include "base/error.hpp"
#include "base/file_lock.hpp"
#include "base/log.hpp"
#include "queue/migrations.hpp"
#include "run/announcer.hpp"
#include "run/dispatcher.hpp"
#include "run/heartbeat.hpp"
#include "run/housekeeping.hpp"
#include "run/identity.hpp"
#include "run/own_store.hpp"
#include "run/prune.hpp"
#include "run/site.hpp"
#include "run/status_line.hpp"

namespace zipmodule::run {
namespace {

int lock_busy(const config::Config& config, const std::filesystem::path& lock) {
  const std::string message = fmt::format("another run holds {}: {}", lock.string(), FileLock::holder(lock));
  // Under cron a run that is still busy a minute later is no trouble; only who asked for an exit code hears of it.
  if (config.run.lock_busy_exit == 0 && ::isatty(STDERR_FILENO) == 0)
    log::info("{}", message);
  else
    log::warn("{}", message);
  return config.run.lock_busy_exit;
}

std::string status_text(const Dispatcher& dispatcher, const Leases& leases) {
  const Tally tally = dispatcher.tally();
  std::string text = fmt::format("{} done, {} failed", tally.done, tally.failed);
  for (const auto& held : leases.all()) {
    if (held->started) text += fmt::format("  {} {}", held->label, progress_bar(held->progress.fraction(), 10));
  }
  return text;
}

std::string outcome_of(const Tally& tally, const std::stop_token& stop) {
  if (stop.stop_requested()) return "stopped";
  if (tally.failed > 0 || tally.undelivered > 0 || tally.disk_trouble) return "failed";
  return tally.out_of_time ? "timeout" : "done";
}

std::string outcome_of(const Error& error) { return error.kind() == ErrorKind::database ? "database" : "error"; }

int exit_code_of(const Tally& tally) {
  if (tally.disk_trouble) return traits_of(ErrorKind::store_unwritable).exit_code;
  return tally.failed > 0 || tally.undelivered > 0 ? 1 : 0;
}

// Everything between the run row and its end.
class Launch {
 public:
  Launch(const config::Config& config, const Options& options, StoreIdentity& identity, std::stop_token stop)
      : config_(config),
        options_(options),
        stop_(std::move(stop)),
        identity_(identity),
        site_(config),
        worker_(worker_options(config, identity.store())) {}

  // Fills in `ending` as far as it gets, also where it throws.
  void run(Ending& ending) {
    identity_.begin_run();
    const auto begun = worker_.begin_run(::getpid(), options_.version, identity_.token());
    try {
      identity_.run_begun();
      recover(site_, worker_, begun, config_.archives.grace);
      audit(site_, identity_, worker_, begun.run_id, stop_);
      work(begun.run_id);
      collect_garbage(site_.store(), worker_, config_.archives.grace, stop_);
      prune_hourly(config_, stop_);
    } catch (const Error& error) {
      end(begun.run_id, outcome_of(error), ending);
      throw;
    }
    end(begun.run_id, outcome_of(tally_, stop_), ending);
    ending.exit_code = exit_code_of(tally_);
  }

 private:
  void work(std::int64_t run_id) {
    Leases leases;
    Heartbeat heartbeat(worker_options(config_, identity_.store()), leases);
    Dispatcher dispatcher(config_, site_, identity_, worker_, leases, run_id, stop_);
    std::optional<StatusLine> line;
    if (options_.show_progress) line.emplace([&] { return status_text(dispatcher, leases); });
    try {
      dispatcher.run();
    } catch (...) {
      tally_ = dispatcher.tally();
      throw;
    }
    tally_ = dispatcher.tally();
  }

  void end(std::int64_t run_id, const std::string& outcome, Ending& ending) {
    ending.outcome = outcome;
    ending.claimed = tally_.claimed;
    ending.done = tally_.done;
    ending.failed = tally_.failed;
    try {
      worker_.finish_run(run_id, {tally_.claimed, tally_.done, tally_.failed, outcome});
    } catch (const Error& error) {
      // The row stays open, which the next run takes as a crash: it then looks for orphans too.
      log::info("the end of the run could not be recorded: {}", error.what());
    }
    if (tally_.claimed > 0) {
      log::info("run {}: {} claimed, {} done, {} failed in {:.1f} s ({})", run_id, tally_.claimed, tally_.done,
                tally_.failed, watch_.seconds(), outcome);
    }
  }

  const config::Config& config_;
  const Options& options_;
  const std::stop_token stop_;
  Stopwatch watch_;
  StoreIdentity& identity_;
  Site site_;
  queue::Worker worker_;
  Tally tally_;
};

}  // namespace

int execute(const config::Config& config, const Options& options, std::stop_token stop) {
  require_own_store(config.archives.root);
  const auto lock = FileLock::try_acquire(config.run.lock_file);
  if (!lock) return lock_busy(config, config.run.lock_file);
  Announcer announcer(config, options.version);
  Ending ending;
  try {
    queue::require_current_schema(connection_options(config));
    queue::Worker worker(worker_options(config, {}));
    const archive::Store store(config.archives.root, config.archives.min_free_bytes, access_of(config.archives),
                               archive::Folders::expected);
    // Before anything is made: in the place of a disk that is not mounted, nothing is.
    if (const auto error = refusal(look_at_store(store.tree(), worker), store.tree())) throw Error(*error);
    store.tree().make_folders();
    const auto store_lock = store.try_lock();
    if (!store_lock) return lock_busy(config, store.lock_path());
    announcer.started();
    StoreIdentity identity(store.tree(), worker);
    Launch(config, options, identity, std::move(stop)).run(ending);
    announcer.ended(ending);
    return ending.exit_code;
  } catch (const Error& error) {
    ending.exit_code = traits_of(error.kind()).exit_code;
    ending.outcome = outcome_of(error);
    ending.error = error.full_text();
    announcer.ended(ending);
    throw;
  } catch (const std::exception& error) {
    ending.error = error.what();
    announcer.ended(ending);
    throw;
  }
}

}  // namespace zipmodule::run
