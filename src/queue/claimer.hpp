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
// A pick begins behind the turns that were served before. What lies there is left of the past, and is stepped over row by
// row for as long as some old transaction may still see it; a queue under such a transaction would become slower with every
// job. Jobs that stay behind (tried again, waiting, locked when they were passed) are found by sweeps from the beginning:
// before an answer that there is nothing, and else in a twentieth of the time at most. Not thread-safe.
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
  };
  using Mark = std::pair<std::int64_t, std::int64_t>;  // turn, job_id
  class Picks;

  void sweep(Picks& picks);
  void pick_behind_marks(Picks& picks);
  void remember(const std::vector<Pick>& picked);

  const WorkerOptions& options_;
  std::map<int, Mark, std::greater<>> marks_;  // the last job served in order, by priority
  unsigned picks_to_oldest_ = 0;
  std::optional<Stopwatch> since_sweep_;
  double sweep_seconds_ = 0;  // of the last one
};

}  // namespace zipmodule::queue
