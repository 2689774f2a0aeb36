// Brings finished builds to the targets of archives.deliver, beside the building:
//
//   due (by the database) -> [threads of the target: put -> still wanted? -> point] -> recorded
//   retired, after its grace -> [unpoint -> remove] -> forgotten
//
// A target that is away or full is left alone for a while; its deliveries stay due and are tried again by themselves.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/store.hpp"
#include "base/thread_pool.hpp"
#include "base/threads.hpp"
#include "config/config.hpp"
#include "queue/deliveries.hpp"
#include "storage/target.hpp"

namespace zipmodule::run {

// Thread-safe. Without targets it does nothing, and is never busy.
class Deliverer {
 public:
  // `became_idle` is called by a thread of its own, and must be good until the destructor has returned. `stop`: ends
  // what is under way; it stays due. The others must outlive it. Throws Error{threads}.
  Deliverer(const config::Config& config, const archive::Store& store, const std::string& store_id, std::int64_t run_id,
            std::stop_token stop, std::function<void()> became_idle);
  ~Deliverer();

  // There may be more that is due.
  void look();
  // Whether something is under way or may be due: the run has a reason to stay.
  bool busy() const;
  // Begins nothing more; busy until nothing is under way.
  void drain();
  // The same, and returns then.
  void close();

  std::uint64_t failed() const noexcept { return failed_; }  // attempts

 private:
  using Clock = std::chrono::steady_clock;
  using Attempt = queue::DeliveryAttempt;

  // What belongs to one target. Used by the coordinating thread, but for the target itself and whether it is settled.
  struct Lane {
    std::unique_ptr<storage::Target> target;
    std::string place;  // as the database names it
    std::unique_ptr<std::mutex> settling = std::make_unique<std::mutex>();
    bool settled = false;  // guarded by settling: the target is the place that is known
    std::unique_ptr<ThreadPool> threads;
    std::vector<std::string> under_way;  // builds
    Clock::time_point away_until;
    Clock::time_point full_until;
    Clock::time_point removes_at;  // the next look at what is retired
  };

  void coordinate();
  bool serve();
  void give_up(const std::string& why);
  void start_due(Lane& lane);
  void start(Lane& lane, const queue::Delivery& delivery, void (Deliverer::*what)(storage::Target&, Attempt&));
  void settle(Lane& lane);
  void unsettle(Lane& lane);
  void deliver(storage::Target& target, Attempt& attempt);
  void remove(storage::Target& target, Attempt& attempt);
  void record(const Attempt& attempt);
  bool is_draining() const;
  bool any_under_way() const;
  bool note_idle();
  void wait(bool served);
  // One connection for all threads: what they ask takes milliseconds.
  template <class Ask>
  auto with_database(Ask ask);

  const config::Config& config_;
  const archive::Store& store_;
  const std::int64_t run_id_;
  const std::stop_token stop_;
  const std::function<void()> became_idle_;
  std::stop_source ended_;  // with stop_, or by the destructor
  const std::stop_callback<std::function<void()>> on_stop_;

  // the coordinating thread's own
  std::map<std::string, Lane> lanes_;  // by the target's name
  bool closing_ = false;
  bool backlog_ = true;    // there may be builds that were there before their targets
  bool given_up_ = false;  // something is wrong that another try does not mend
  std::vector<Attempt> unrecorded_;
  std::atomic<std::uint64_t> failed_ = 0;

  std::mutex database_mutex_;
  queue::Deliveries deliveries_;  // guarded by database_mutex_

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Attempt> results_;  // guarded by mutex_, as below
  bool looked_for_ = true;        // look() was called since the last look
  bool busy_ = false;
  bool draining_ = false;
  bool closed_ = false;

  Thread coordinator_;  // last: ends before the rest goes
};

}  // namespace zipmodule::run
