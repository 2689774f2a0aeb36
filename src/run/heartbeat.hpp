// Keeps the leases of this run alive, and ends the builds whose leases are gone.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/threads.hpp"
#include "queue/worker.hpp"
#include "run/leases.hpp"

namespace zipmodule::run {

// A thread with a connection of its own. Every quarter of the lease time, at most 5 s, it extends all held leases and
// writes progress in one statement. A lease that is lost or cancelled, or could not be extended before it ran out, has
// its build stopped. A database that is away is tried again each time; that alone ends nothing.
class Heartbeat {
 public:
  // `leases` must outlive it. Throws Error{threads}.
  Heartbeat(queue::WorkerOptions options, Leases& leases);

 private:
  void loop(const std::stop_token& stop);
  void beat(queue::Worker& worker);
  void watch(const std::stop_token& stop);
  void pause(const std::stop_token& stop, std::chrono::milliseconds time);

  const queue::WorkerOptions options_;
  Leases& leases_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Thread thread_;
  // Ends builds whose leases ran out, apart from the thread that may hang in a statement. Last: joined first.
  Thread watch_;
};

}  // namespace zipmodule::run
