// The middle of a run: claims jobs, hands them to the workers, and commits what they bring back.
//
//   claim -> [workers: attempt_job] -> results -> commit -> link -> release
//                                             \-> fail / give back
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.hpp"
#include "queue/listener.hpp"
#include "queue/worker.hpp"
#include "run/job.hpp"
#include "run/leases.hpp"
#include "run/site.hpp"

namespace zipmodule::run {

struct Tally {
  std::uint64_t claimed = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;   // attempts that ended in trouble of the job's own
  bool disk_trouble = false;  // the store could not take a build
  bool out_of_time = false;   // max_runtime ended the claiming
};

// The calling thread of run() owns the connection and all of the queue's statements except the heartbeat's.
class Dispatcher {
 public:
  // All must outlive it. `stop`: claim no more, end the builds, give the leases back.
  Dispatcher(const config::Config& config, Site& site, queue::Worker& worker, Leases& leases, std::int64_t run_id,
             std::stop_token stop);
  ~Dispatcher();

  // Until nothing is due (and run.linger is over), run.max_runtime nears, or the stop. Throws Error{database} when the
  // database stayed away until no lease was left; the builds are ended then.
  void run();

  Tally tally() const;  // thread-safe

 private:
  using Results = std::vector<AttemptResult>;

  void work_loop();
  bool claim_more();
  std::size_t wanted_claims() const;
  void follow_listener();
  std::chrono::milliseconds time_to_look_again();
  // 0 or less where a job is due that was not claimed, infinity where none waits.
  double seconds_to_next_due();
  bool may_claim() const;
  // Until there is one, or for `most`.
  Results wait_for_results(std::optional<std::chrono::milliseconds> most);
  void settle(Results results);
  void settle_builds(Results builds);
  void link_and_release(Results& committed, bool built_now);
  void repair_link(const Work& work);
  void forget_useless(Results useless);
  void settle_failures(Results failures);
  void report_failure(const AttemptResult& result);
  void postpone(AttemptResult result) { postponed_.push_back(std::move(result)); }
  // Throws Error{database} where only postponed results have been left for a while.
  void require_progress();
  void finished(const Work& work);

  // Calls `statement`, again with growing pauses while the database is away and no stop is requested: as long as
  // any lease lives, and a few seconds in any case.
  template <class Statement>
  auto with_database(Statement statement);

  // constant after construction
  const config::Config& config_;
  Site& site_;
  queue::Worker& worker_;
  Leases& leases_;
  const std::int64_t run_id_;
  const std::stop_token stop_;
  const zip::Level default_level_;

  // the dispatching thread's own
  std::size_t in_flight_ = 0;         // claimed and not settled
  double average_build_seconds_ = 0;  // 0: not known yet
  Results postponed_;                 // to be settled again: publishes with open transactions have their jobs locked
  Stopwatch runtime_;
  Stopwatch dry_;  // since the last claim that got something
  bool listening_ = false;
  Stopwatch since_noted_;  // that it listens
  struct NextDue {
    double seconds;       // from `asked`
    double good_seconds;  // from then as well
    Stopwatch asked;
  };
  std::optional<NextDue> due_;
  Stopwatch only_postponed_;  // since when nothing else is left

  BoundedQueue<Work> work_;

  mutable std::mutex mutex_;
  std::condition_variable_any arrived_;
  Results results_;  // guarded by mutex_, as below
  Tally tally_;
  bool woken_ = false;  // something was published, or the listener's state changed

  std::stop_callback<std::function<void()>> on_stop_;
  std::vector<std::jthread> workers_;  // with the listener last: joined before the rest goes
  std::optional<queue::Listener> listener_;
};

}  // namespace zipmodule::run
