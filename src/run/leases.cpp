#include "run/leases.hpp"

#include <algorithm>
#include <utility>

namespace zipmodule::run {

std::shared_ptr<HeldLease> Leases::add(const queue::Lease& lease, std::string label, BootClock::time_point deadline) {
  auto held = std::make_shared<HeldLease>(lease, std::move(label), deadline);
  std::shared_ptr<HeldLease> older;
  {
    std::lock_guard lock(mutex_);
    older = std::exchange(held_[lease.job_id], held);
  }
  // Cancelled, published and claimed again between two heartbeats: the old build would be out of everybody's reach.
  if (older) older->request_stop(StopReason::lease_lost);
  return held;
}

void Leases::remove(const queue::Lease& lease) {
  std::lock_guard lock(mutex_);
  const auto found = held_.find(lease.job_id);
  // The same job may have been claimed again, under a newer token, before its old attempt was done with.
  if (found != held_.end() && found->second->lease.token == lease.token) held_.erase(found);
}

std::vector<std::shared_ptr<HeldLease>> Leases::all() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<HeldLease>> leases;
  leases.reserve(held_.size());
  for (const auto& [job, lease] : held_) leases.push_back(lease);
  return leases;
}

std::size_t Leases::size() const {
  std::lock_guard lock(mutex_);
  return held_.size();
}

bool Leases::any_alive() const {
  const auto leases = all();
  return std::any_of(leases.begin(), leases.end(), [](const auto& lease) { return lease->alive(); });
}

void Leases::stop_all(StopReason why) {
  for (const auto& lease : all()) lease->request_stop(why);
}

}  // namespace zipmodule::run
