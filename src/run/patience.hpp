// How long a run bears a database that is away.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "run/leases.hpp"

namespace zipmodule::run {

// Used by one thread. `leases` must outlive it.
class Patience {
 public:
  Patience(const Leases& leases, std::stop_token stop) : leases_(leases), stop_(std::move(stop)) {}

  // Calls `statement` and returns what it returns; calls it again with growing pauses while it throws Error{database} and no
  // stop is requested: as long as any lease lives, and a few seconds in any case. So it must be one that may be repeated.
  template <class Statement>
  auto with_database(Statement statement) {
    const Stopwatch away;
    for (auto pause = k_first_pause;; pause = std::min(pause * 2, k_longest_pause)) {
      try {
        return statement();
      } catch (const Error& error) {
        if (!bears(error, away)) throw;
      }
      std::unique_lock lock(mutex_);
      stopped_.wait_for(lock, stop_, pause, [] { return false; });
    }
  }

 private:
  static constexpr std::chrono::milliseconds k_first_pause{200};
  static constexpr std::chrono::milliseconds k_longest_pause{5'000};

  // Says that it will be tried again, if so.
  bool bears(const Error& error, const Stopwatch& away) const;

  const Leases& leases_;
  const std::stop_token stop_;
  std::mutex mutex_;  // of the pause only
  std::condition_variable_any stopped_;
};

}  // namespace zipmodule::run
