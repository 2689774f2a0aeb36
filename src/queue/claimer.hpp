// Which due jobs are claimed next. Private to src/queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "queue/connection_impl.hpp"
#include "queue/worker.hpp"

namespace zipmodule::queue {

// Picks in the order of the queue: priority, then turn; but one pick in eight takes what has waited longest, so that
// nothing starves behind a flood of higher priority.
//
// A pick is a sweep from the beginning of the queue. Rows that wait for their time are stepped over there, and what was
// served for as long as some old transaction may still see it: under such a transaction the queue would become slower with
// every job. So sweeps that waste time are made in a twentieth of it at most, and before an answer that there is nothing.
// Picks in between take what is more urgent than all that was served, and begin behind what was served last of each
// priority; jobs that stayed behind that (tried again, waiting, locked when they were passed) are left to the next sweep.
// Not thread-safe.
class Claimer {
 public:
  // `options` must outlive it.
  explicit Claimer(const WorkerOptions& options) : options_(options) {}

  // Up to `most` jobs in one transaction of the caller's. Leases that have run out are ended instead, and `ended` is set:
  // what is due at once after that is for the next call.
  std::vector<ClaimedJob> claim(pqxx::work& transaction, std::int64_t run_id, std::size_t most, bool& ended);

 private:
  struct Pick {
    std::int64_t job_id = 0;
    int priority = 0;
    std::int64_t turn = 0;
    std::string lane;
    bool expired = false;
    double seconds = 0;  // that the server took until it was found
  };
  // Of a query that steps over what it can't take.
  class Budget {
   public:
    bool allows() const noexcept;
    void spend(const std::vector<Pick>& taken, double seconds) noexcept;  // seconds: of the whole query

   private:
    double last_seconds_ = 0;    // that the last one wasted
    double wasted_seconds_ = 0;  // by the better of the last two: one that stood still for a moment tells nothing
    Stopwatch since_;
  };
  using Mark = std::pair<std::int64_t, std::int64_t>;  // turn, job_id
  class Picks;

  void sweep(Picks& picks);
  void pick_behind_marks(Picks& picks);
  void remember(const std::vector<Pick>& picked);

  const WorkerOptions& options_;
  std::map<int, Mark, std::greater<>> marks_;  // the last job served in order, by priority
  unsigned picks_to_oldest_ = 0;
  Budget oldest_;
  Budget sweeps_;
};

}  // namespace zipmodule::queue
