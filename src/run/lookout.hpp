// When a run looks for work again: at a notification, when the next job falls due, or after a while.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "base/clock.hpp"
#include "config/config.hpp"
#include "queue/listener.hpp"
#include "queue/worker.hpp"
#include "run/patience.hpp"

namespace zipmodule::run {

// Used by one thread.
class Lookout {
 public:
  // With run.linger it listens, on a connection and a thread of its own, which calls `wake` when something was published or
  // listening began or ended; `wake` must be good until the destructor has returned. The others must outlive it.
  Lookout(const config::Config& config, queue::Worker& worker, Patience& patience, std::function<void()> wake);

  // Keeps the database told whether this run listens: publishes notify only then. Before every claim, for what is published
  // before the note is found by the claim after it.
  void note_listening();

  // What was known of the next due job is out of date.
  void forget_next_due() noexcept { due_.reset(); }

  // How long to wait until the next claim, if nobody wakes us before: `most` seconds, or less.
  std::chrono::milliseconds pause(double most);

 private:
  struct NextDue {
    double seconds;       // from `asked`; 0 or less where a job is due that was not claimed, infinity where none waits
    double good_seconds;  // from then as well
    Stopwatch asked;
  };

  double seconds_to_next_due();

  queue::Worker& worker_;
  Patience& patience_;
  const std::chrono::seconds lease_;
  bool listening_ = false;  // as the database was told
  Stopwatch since_noted_;
  std::optional<NextDue> due_;
  std::optional<queue::Listener> listener_;
};

}  // namespace zipmodule::run
