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
  std::string path;  // below archives.root and below the target
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

  // Whether the build is its job's current one still.
  bool is_wanted(const Delivery& delivery);
  // Records it. A delivery that is done and no longer wanted is superseded: the newer build is due there again, if its public
  // name was taken from it. Returns what became of it.
  DeliveryOutcome end(std::int64_t run_id, const DeliveryAttempt& attempt);

 private:
  const WorkerOptions options_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace zipmodule::queue
