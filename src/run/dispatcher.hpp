// The middle of a run: claims jobs, hands them to the workers, and commits what they bring back.
//
//   claim -> [workers: attempt_job] -> results -> commit -> link -> release
//                                             |          \-> deliver (deliverer.hpp)
//                                             \-> fail / give back
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bounded_queue.hpp"
#include "base/threads.hpp"
#include "queue/worker.hpp"
#include "run/deliverer.hpp"
#include "run/identity.hpp"
#include "run/job.hpp"
#include "run/leases.hpp"
#include "run/lookout.hpp"
#include "run/patience.hpp"
#include "run/settler.hpp"
#include "run/site.hpp"

namespace zipmodule::run {

struct Tally {
  std::uint64_t claimed = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;       // attempts that ended in trouble of the job's own
  bool disk_trouble = false;      // the store could not take a build
  bool out_of_time = false;       // max_runtime ended the claiming
  std::uint64_t undelivered = 0;  // attempts to deliver that failed
};

// The calling thread of run() owns the connection and all of the queue's statements except the heartbeat's.
class Dispatcher {
 public:
  // All must outlive it. `stop`: claim no more, end the builds, give the leases back.
  // Throws Error{threads} where not even one worker can be started.
  Dispatcher(const config::Config& config, Site& site, StoreIdentity& identity, queue::Worker& worker, Leases& leases,
             std::int64_t run_id, std::stop_token stop);
  ~Dispatcher();

  // Until nothing is due (and run.linger is over) and all is delivered, run.max_runtime nears, or the stop. Throws
  // Error{database} when the database stayed away until no lease was left; the builds are ended then.
  void run();

  Tally tally() const;  // thread-safe

 private:
  using Results = std::vector<AttemptResult>;

  void work_loop();
  void wake();
  bool claim_more();
  std::size_t wanted_claims() const;
  void note_build_time(const AttemptResult& result);
  std::chrono::milliseconds time_to_look_again();
  bool may_claim();
  // Until there is one, or for `most`; the postponed ones with them.
  Results wait_for_results(std::optional<std::chrono::milliseconds> most);
  // Throws Error{database} where only postponed results have been left for a while.
  void require_progress();

  // constant after construction
  const config::Config& config_;
  Site& site_;
  queue::Worker& worker_;
  Leases& leases_;
  const std::int64_t run_id_;
  const std::stop_token stop_;
  const JobDefaults defaults_;

  // the dispatching thread's own
  Patience patience_;
  Settler settler_;                   // but for its counts
  std::size_t in_flight_ = 0;         // claimed and not settled
  double average_build_seconds_ = 0;  // 0: not known yet
  Results postponed_;                 // to be settled again
  Stopwatch only_postponed_;          // since when nothing else is left
  Stopwatch runtime_;
  Stopwatch dry_;  // since the last claim that got something

  std::atomic<std::uint64_t> claimed_ = 0;
  std::atomic<bool> out_of_time_ = false;
  BoundedQueue<Work> work_;

  std::mutex mutex_;
  std::condition_variable_any arrived_;
  Results results_;     // guarded by mutex_, as below
  bool woken_ = false;  // something was published, or the listener's state changed

  std::stop_callback<std::function<void()>> on_stop_;
  std::vector<Thread> workers_;  // with the lookout's and the deliverer's last: joined before the rest goes
  Lookout lookout_;
  Deliverer deliverer_;
};

}  // namespace zipmodule::run
