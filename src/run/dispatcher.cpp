#include "run/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#include "base/error.hpp"

namespace zipmodule::run {
namespace {

// How much work is claimed ahead of the workers: so much as they do in this time, so that claiming and committing in
// batches keeps up with small jobs, while large ones stay free for other hosts.
constexpr double k_ahead_seconds = 0.25;
constexpr double k_ahead_most = 64;
// How fast the average follows: the last ten builds or so.
constexpr double k_average_weight = 0.1;
// No claim this long before max_runtime: most builds are done by then.
constexpr double k_before_end_seconds = 5;
// How often is looked, at the end, whether what is being delivered is there.
constexpr double k_last_poll_seconds = 0.2;
// How soon results are settled again that a publisher's open transaction was in the way of, and how long a run that has
// nothing else left to do goes on with that: the next run recovers them.
constexpr std::chrono::milliseconds k_postponed_poll{100};
constexpr double k_postponed_seconds = 10;

JobDefaults job_defaults(const config::Config& config, StoreIdentity& identity) {
  JobDefaults defaults{zip::parse_level(config.zip.level).value_or(zip::Level::balanced), {}, {}};
  defaults.before_build = [&identity] { identity.note_building(); };
  for (const auto& [name, target] : config.archives.deliver) defaults.targets.insert(name);
  return defaults;
}

double seconds(std::chrono::seconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Dispatcher::Dispatcher(const config::Config& config, Site& site, StoreIdentity& identity, queue::Worker& worker,
                       Leases& leases, std::int64_t run_id, std::stop_token stop)
    : config_(config),
      site_(site),
      worker_(worker),
      leases_(leases),
      run_id_(run_id),
      stop_(std::move(stop)),
      defaults_(job_defaults(config, identity)),
      patience_(leases, stop_),
      settler_(site, worker, leases, patience_, run_id),
      work_(std::numeric_limits<std::size_t>::max()),  // bounded by wanted_claims
      on_stop_(stop_,
               [this] {
                 leases_.stop_all(StopReason::run_stopped);
                 arrived_.notify_all();
               }),
      lookout_(config, worker, patience_, [this] { wake(); }),
      deliverer_(config, site.store(), identity.store(), run_id, stop_, [this] { wake(); }) {
  workers_ = start_crew("builds", config.run.workers, [this](const std::stop_token&) { work_loop(); });
}

Dispatcher::~Dispatcher() {
  leases_.stop_all(StopReason::run_stopped);
  work_.close();
}

Tally Dispatcher::tally() const {
  return {claimed_, settler_.done(), settler_.failed(), settler_.disk_trouble(), out_of_time_, deliverer_.failed()};
}

void Dispatcher::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  arrived_.notify_all();
}

void Dispatcher::work_loop() {
  while (auto work = work_.pop()) {
    AttemptResult result = attempt_job(std::move(*work), site_.builder(), site_.store(), defaults_);
    {
      std::lock_guard lock(mutex_);
      results_.push_back(std::move(result));
    }
    arrived_.notify_all();
  }
}

bool Dispatcher::may_claim() {
  if (stop_.stop_requested()) return false;
  const double most = seconds(config_.run.max_runtime);
  if (runtime_.seconds() < most - std::min(k_before_end_seconds, most / 10)) return true;
  // An upload may take hours, and no other run can begin meanwhile.
  deliverer_.drain();
  return deliverer_.busy();
}

std::size_t Dispatcher::wanted_claims() const {
  const auto workers = static_cast<double>(workers_.size());
  const double ahead =
      average_build_seconds_ > 0 ? std::min(k_ahead_most, k_ahead_seconds * workers / average_build_seconds_) : 0;
  const auto target = workers_.size() + static_cast<std::size_t>(ahead);
  const std::size_t working = in_flight_ - postponed_.size();
  return target > working ? target - working : 0;
}

bool Dispatcher::claim_more() {
  const std::size_t most = wanted_claims();
  if (most == 0) return false;
  const auto deadline = BootClock::now() + config_.run.lease;
  auto jobs = patience_.with_database([&] { return worker_.claim(run_id_, most); });
  for (auto& job : jobs) {
    auto held = leases_.add(job.lease, fmt::format("{}/{}", job.series, job.archive), deadline);
    // A stop that came between may have missed this lease.
    if (stop_.stop_requested()) held->request_stop(StopReason::run_stopped);
    ++in_flight_;
    work_.push({std::move(job), std::move(held)});
  }
  claimed_ += jobs.size();
  return !jobs.empty();
}

Dispatcher::Results Dispatcher::wait_for_results(std::optional<std::chrono::milliseconds> most) {
  std::unique_lock lock(mutex_);
  // With nothing in flight there is no result of a stop to wait for.
  const auto there = [&] { return !results_.empty() || woken_ || (in_flight_ == 0 && stop_.stop_requested()); };
  if (!postponed_.empty()) most = k_postponed_poll;
  if (most)
    arrived_.wait_for(lock, *most, there);
  else
    arrived_.wait(lock, there);
  if (std::exchange(woken_, false)) lookout_.forget_next_due();
  Results results = std::exchange(results_, {});
  for (const auto& result : results) note_build_time(result);
  std::move(postponed_.begin(), postponed_.end(), std::back_inserter(results));
  postponed_.clear();
  return results;
}

void Dispatcher::note_build_time(const AttemptResult& result) {
  if (!std::holds_alternative<queue::BuildRecord>(result.what)) return;
  const double seconds = result.attempt.measured.build_seconds;
  average_build_seconds_ = average_build_seconds_ == 0
                               ? seconds
                               : (1 - k_average_weight) * average_build_seconds_ + k_average_weight * seconds;
}

std::chrono::milliseconds Dispatcher::time_to_look_again() {
  double most = std::max(seconds(config_.run.max_runtime) - runtime_.seconds(), k_last_poll_seconds);
  if (in_flight_ == 0 && !deliverer_.busy()) most = std::min(most, seconds(config_.run.linger) - dry_.seconds());
  return lookout_.pause(most);
}

void Dispatcher::run() {
  dry_ = Stopwatch();
  for (;;) {
    const bool allowed = may_claim();
    if (allowed) lookout_.note_listening();
    if (allowed && claim_more()) dry_ = Stopwatch();
    if (in_flight_ == 0) {
      if (!allowed) {
        out_of_time_ = !stop_.stop_requested();
        break;
      }
      if (dry_.seconds() >= seconds(config_.run.linger) && !deliverer_.busy()) break;
    }
    // With a worker free, a publish that comes while others build is not left waiting for them.
    const bool look_again = allowed && wanted_claims() > 0;
    Results results = wait_for_results(look_again ? std::optional(time_to_look_again()) : std::nullopt);
    in_flight_ -= results.size();
    const bool any = !results.empty();
    postponed_ = settler_.settle(std::move(results));
    in_flight_ += postponed_.size();
    if (any) deliverer_.look();
    if (!allowed) require_progress();
  }
  deliverer_.close();
}

void Dispatcher::require_progress() {
  if (postponed_.empty() || postponed_.size() < in_flight_) {
    only_postponed_ = Stopwatch();
    return;
  }
  if (only_postponed_.seconds() < k_postponed_seconds) return;
  throw Error(ErrorKind::database,
              fmt::format("{} finished jobs are locked by publishers' open transactions", in_flight_),
              "the next run recovers them; look for idle transactions in pg_stat_activity");
}

}  // namespace zipmodule::run
