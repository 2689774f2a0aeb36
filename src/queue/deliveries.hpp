// What a run does with the deliveries of its store's builds.
//
// Life of a delivery: noted by the commit of its build -> due -> delivered -> retired (by a newer one) -> removed
//                                                          \-> due again later, as often as it fails
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/connection.hpp"
#include "queue/worker.hpp"

namespace zipmodule::queue {

struct Delivery {
  std::string build_id;
  std::string target;
  std::int64_t job_id = 0;
  std::string series;
  std::string archive;
  std::uint64_t size_bytes = 0;
};

enum class DeliveryOutcome {
  done,        // it is there, and its public name there leads to it
  superseded,  // a newer build came meanwhile
  retry,
  removed,  // a retired one
};

struct DeliveryAttempt {
  Delivery delivery;
  DeliveryOutcome outcome = DeliveryOutcome::done;
  std::string error_kind;  // the text code of base/error.hpp; empty when done
  std::string error;
  // Seconds until the next try; nullopt: 10 s doubled with each failure, at most 1 h, plus up to 10 % at random.
  std::optional<double> retry_after_seconds;
  bool switched = false;  // the public name there was, or was taken away, or may have been
  int disputed = 0;       // the answer of wanted()
  double seconds = 0;
  double upload_seconds = 0;
  double switch_seconds = 0;
  std::uint64_t bytes_sent = 0;
};

// One connection; used from one thread at a time. Every call throws Error{database} as those of Worker do.
class Deliveries {
 public:
  explicit Deliveries(const WorkerOptions& options);  // does not connect yet
  ~Deliveries();

  // What is due at this target, oldest first, without the builds that are `under_way` there.
  std::vector<Delivery> due(const std::string& target, const std::vector<std::string>& under_way, std::size_t most);
  // What is to be removed there: retired longer than `grace` ago.
  std::vector<Delivery> retired(const std::string& target, const std::vector<std::string>& under_way,
                                std::chrono::seconds grace, std::size_t most);

  // The id of this database, and the one in the marker that was seen at the target's place; nullopt: none yet.
  struct Place {
    std::string database;
    std::optional<std::string> marker;
  };
  Place place(const std::string& target, const std::string& place);
  void note_place(const std::string& target, const std::string& place, const std::string& marker);
  // Another place has taken the target's: what is current goes there again.
  void forget_copies(const std::string& target);
  // Any builds that were delivered there.
  std::vector<std::string> delivered(const std::string& target, std::size_t most);

  // Where the targets are others than those that were seen last: notes deliveries of up to `most` older builds, and
  // returns whether there are more. To be called until there are none.
  bool add_backlog(std::size_t most);

  // Nullopt where the build is no longer its job's current one; else the mark for DeliveryAttempt::disputed.
  std::optional<int> wanted(const Delivery& delivery);
  // Records it. A delivery that is done and no longer wanted is superseded: the newer build is due there again, as its
  // public name may have been taken from it. So is one whose own name may have been taken since wanted() was asked: it
  // is due again itself. Returns what became of it.
  DeliveryOutcome end(std::int64_t run_id, const DeliveryAttempt& attempt);

 private:
  const WorkerOptions options_;
  std::unique_ptr<Connection> connection_;
  std::string backlog_after_;  // the last build that add_backlog() has noted
};

}  // namespace zipmodule::queue
