// What becomes of attempts, in the database and in the store:
//
//   a build           commit -> link -> release
//   built before      link -> release
//   a useless build   forget -> give back
//   a failure         fail, or give back where the run was stopped
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "queue/worker.hpp"
#include "run/job.hpp"
#include "run/leases.hpp"
#include "run/patience.hpp"
#include "run/site.hpp"

namespace zipmodule::run {

// Used by one thread, but for the counts.
class Settler {
 public:
  using Results = std::vector<AttemptResult>;

  // All must outlive it.
  Settler(Site& site, queue::Worker& worker, Leases& leases, Patience& patience, std::int64_t run_id)
      : site_(site), worker_(worker), leases_(leases), patience_(patience), run_id_(run_id) {}

  // Ends the leases of these attempts and lets go of them. Returns those that could not be settled now, because publishes
  // with open transactions have their jobs locked: to be given again. Throws Error{database} when the patience is at its
  // end; whatever was not settled then is recovered by a later run.
  [[nodiscard]] Results settle(Results results);

  // Thread-safe.
  std::uint64_t done() const noexcept { return done_; }
  std::uint64_t failed() const noexcept { return failed_; }     // attempts that ended in trouble of the job's own
  bool disk_trouble() const noexcept { return disk_trouble_; }  // the store could not take a build

 private:
  void settle_builds(Results builds);
  void drop_build(const Work& work, const queue::BuildRecord& build);
  void link_and_release(Results& committed, bool built_now);
  std::vector<bool> release(const Results& linked, bool built_now);
  void repair_link(const Work& work);
  void forget_useless(Results useless);
  void settle_failures(Results failures);
  void report_failure(const AttemptResult& result);
  void postpone(AttemptResult result) { postponed_.push_back(std::move(result)); }
  void finished(const Work& work) { leases_.remove(work.job.lease); }

  Site& site_;
  queue::Worker& worker_;
  Leases& leases_;
  Patience& patience_;
  const std::int64_t run_id_;

  Results postponed_;  // of the current call
  std::atomic<std::uint64_t> done_ = 0;
  std::atomic<std::uint64_t> failed_ = 0;
  std::atomic<bool> disk_trouble_ = false;
};

}  // namespace zipmodule::run
