// The leases this run holds, between the threads that build, extend and commit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/builder.hpp"
#include "base/clock.hpp"
#include "queue/job.hpp"

namespace zipmodule::run {

// Why a held lease's build was told to stop.
enum class StopReason { none, run_stopped, lease_lost, cancelled };

// One held lease. Shared by the threads named above; all members may be used from any of them.
struct HeldLease {
  HeldLease(const queue::Lease& held, std::string name, BootClock::time_point until)
      : lease(held), label(std::move(name)), deadline(until) {}

  // constant after construction
  const queue::Lease lease;
  const std::string label;  // "series/archive"

  archive::BuildProgress progress;
  std::stop_source stop;
  std::atomic<StopReason> reason{StopReason::none};
  std::atomic<bool> started{false};
  // Until when the lease surely holds: measured from before the statement that took or extended it was sent, by a clock
  // that goes on while the host sleeps.
  std::atomic<BootClock::time_point> deadline;

  bool alive() const noexcept { return BootClock::now() < deadline.load(); }
  // The first reason counts.
  void request_stop(StopReason why) {
    StopReason expected = StopReason::none;
    reason.compare_exchange_strong(expected, why);
    stop.request_stop();
  }
};

// Thread-safe.
class Leases {
 public:
  // Ends the build of an older lease of the same job.
  std::shared_ptr<HeldLease> add(const queue::Lease& lease, std::string label, BootClock::time_point deadline);
  void remove(const queue::Lease& lease);
  std::vector<std::shared_ptr<HeldLease>> all() const;
  std::size_t size() const;
  bool any_alive() const;
  void stop_all(StopReason why);

 private:
  mutable std::mutex mutex_;
  std::map<std::int64_t, std::shared_ptr<HeldLease>> held_;  // by job id: a job has one lease
};

}  // namespace zipmodule::run
