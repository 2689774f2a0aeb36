#include "run/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#include "base/error.hpp"
#include "base/log.hpp"

namespace zipmodule::run {
namespace {

// How much work is claimed ahead of the workers: so much as they do in this time, so that claiming and committing in
// batches keeps up with small jobs, while large ones stay free for other hosts.
constexpr double k_ahead_seconds = 0.25;
constexpr double k_ahead_most = 64;
// How fast the average follows: the last ten builds or so.
constexpr double k_average_weight = 0.1;
// No claim this long before max_runtime: most builds are done by then.
constexpr std::chrono::seconds k_before_end{5};
// How soon results are settled again that a publisher's open transaction was in the way of, and how long a run that has
// nothing else left to do goes on with that: the next run recovers them.
constexpr std::chrono::milliseconds k_postponed_poll{100};
constexpr double k_postponed_seconds = 10;
// How often a run looks for work by itself, while it lingers or has a worker free: where notifications arrive, only for
// what they might miss.
constexpr std::chrono::milliseconds k_poll{500};
constexpr std::chrono::milliseconds k_poll_listening{5'000};
// How long a run without a lease goes on when the database is away: a restart or a failover should not end one that lingers.
constexpr double k_away_seconds = 15;
// How long an answer to when the next job is due is good for: asking costs as much as there are jobs that wait.
// An answer that was slow is good for twenty times its own time.
constexpr double k_due_good_seconds = 0.1;
constexpr double k_due_good_times = 20;
constexpr std::chrono::milliseconds k_backoff_first{200};
constexpr std::chrono::milliseconds k_backoff_most{5'000};

}  // namespace

Dispatcher::Dispatcher(const config::Config& config, Site& site, queue::Worker& worker, Leases& leases,
                       std::int64_t run_id, std::stop_token stop)
    : config_(config),
      site_(site),
      worker_(worker),
      leases_(leases),
      run_id_(run_id),
      stop_(std::move(stop)),
      default_level_(zip::parse_level(config.zip.level).value_or(zip::Level::balanced)),
      work_(std::numeric_limits<std::size_t>::max()),  // bounded by wanted_claims
      on_stop_(stop_, [this] {
        leases_.stop_all(StopReason::run_stopped);
        arrived_.notify_all();
      }) {
  for (unsigned i = 0; i < config.run.workers; ++i) workers_.emplace_back([this] { work_loop(); });
}

Dispatcher::~Dispatcher() {
  leases_.stop_all(StopReason::run_stopped);
  work_.close();
}

Tally Dispatcher::tally() const {
  std::lock_guard lock(mutex_);
  return tally_;
}

void Dispatcher::work_loop() {
  while (auto work = work_.pop()) {
    AttemptResult result = attempt_job(std::move(*work), site_.builder(), site_.store(), default_level_);
    {
      std::lock_guard lock(mutex_);
      results_.push_back(std::move(result));
    }
    arrived_.notify_all();
  }
}

template <class Statement>
auto Dispatcher::with_database(Statement statement) {
  auto pause = k_backoff_first;
  const Stopwatch away;
  for (;;) {
    try {
      return statement();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::database || stop_.stop_requested()) throw;
      if (!leases_.any_alive() && away.seconds() > k_away_seconds) throw;
      log::warn("{}; trying again", error.what());
    }
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, pause, [&] { return stop_.stop_requested(); });
    pause = std::min(pause * 2, k_backoff_most);
  }
}

bool Dispatcher::may_claim() const {
  const std::chrono::duration<double> most = config_.run.max_runtime;
  const auto margin = std::min<std::chrono::duration<double>>(k_before_end, most / 10);
  return !stop_.stop_requested() && runtime_.seconds() < (most - margin).count();
}

std::size_t Dispatcher::wanted_claims() const {
  const double ahead = average_build_seconds_ > 0
                           ? std::min(k_ahead_most, k_ahead_seconds * config_.run.workers / average_build_seconds_)
                           : 0;
  const auto target = config_.run.workers + static_cast<std::size_t>(ahead);
  const std::size_t working = in_flight_ - postponed_.size();
  return target > working ? target - working : 0;
}

bool Dispatcher::claim_more() {
  const std::size_t most = wanted_claims();
  if (most == 0) return false;
  const auto deadline = BootClock::now() + config_.run.lease;
  auto jobs = with_database([&] { return worker_.claim(run_id_, most); });
  for (auto& job : jobs) {
    auto held = leases_.add(job.lease, fmt::format("{}/{}", job.series, job.archive), deadline);
    // A stop that came between may have missed this lease.
    if (stop_.stop_requested()) held->request_stop(StopReason::run_stopped);
    ++in_flight_;
    work_.push({std::move(job), std::move(held)});
  }
  std::lock_guard lock(mutex_);
  tally_.claimed += jobs.size();
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
  if (woken_) due_.reset();
  woken_ = false;
  Results results = std::exchange(results_, {});
  std::move(postponed_.begin(), postponed_.end(), std::back_inserter(results));
  postponed_.clear();
  return results;
}

// What is published between two of our notes is not lost: after each note follows a claim.
void Dispatcher::follow_listener() {
  const bool listens = listener_ && listener_->is_listening();
  const bool expires = since_noted_.seconds() > std::chrono::duration<double>(config_.run.lease).count() / 4;
  if (listens == listening_ && !(listens && expires)) return;
  with_database([&] {
    worker_.note_listening(listens ? config_.run.lease : std::chrono::seconds(0));
    return true;
  });
  listening_ = listens;
  since_noted_ = Stopwatch();
}

double Dispatcher::seconds_to_next_due() {
  const auto left = [&] { return due_->seconds - due_->asked.seconds(); };
  const bool good = due_ && due_->asked.seconds() < due_->good_seconds && (due_->seconds <= 0 || left() > 0);
  if (!good) {
    const Stopwatch watch;
    const auto due = with_database([&] { return worker_.next_due(); });
    due_.emplace(NextDue{due.value_or(std::numeric_limits<double>::infinity()),
                         std::max(k_due_good_seconds, k_due_good_times * watch.seconds()), Stopwatch()});
  }
  return left();
}

std::chrono::milliseconds Dispatcher::time_to_look_again() {
  auto time = listening_ ? k_poll_listening : k_poll;
  const auto no_longer_than = [&](double seconds) {
    const std::chrono::duration<double> most(std::clamp(seconds, 0.0, std::chrono::duration<double>(time).count()));
    time = std::chrono::ceil<std::chrono::milliseconds>(most);
  };
  const auto seconds = [](std::chrono::seconds s) { return std::chrono::duration<double>(s).count(); };
  no_longer_than(seconds(config_.run.max_runtime) - runtime_.seconds());
  if (in_flight_ == 0) no_longer_than(seconds(config_.run.linger) - dry_.seconds());
  // What is due but was not claimed waits for others: a lane that is full, a row that is locked.
  if (const double due = seconds_to_next_due(); due > 0)
    no_longer_than(due);
  else
    time = std::min(time, k_poll);
  return time;
}

void Dispatcher::run() {
  if (config_.run.linger > std::chrono::seconds(0)) {
    listener_.emplace(worker_options(config_).connection, [this] {
      {
        std::lock_guard lock(mutex_);
        woken_ = true;
      }
      arrived_.notify_all();
    });
  }
  dry_ = Stopwatch();
  for (;;) {
    const bool allowed = may_claim();
    if (allowed) follow_listener();
    if (allowed && claim_more()) dry_ = Stopwatch();
    if (in_flight_ == 0) {
      if (!allowed) break;
      if (dry_.seconds() >= std::chrono::duration<double>(config_.run.linger).count()) return;
    }
    // With a worker free, a publish that comes while others build is not left waiting for them.
    const bool look_again = allowed && wanted_claims() > 0;
    settle(wait_for_results(look_again ? std::optional(time_to_look_again()) : std::nullopt));
    if (!allowed) require_progress();
  }
  std::lock_guard lock(mutex_);
  tally_.out_of_time = !stop_.stop_requested();
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

void Dispatcher::settle(Results results) {
  Results builds;
  Results relinks;
  Results useless;
  Results failures;
  for (auto& result : results) {
    if (std::holds_alternative<queue::BuildRecord>(result.what))
      builds.push_back(std::move(result));
    else if (std::holds_alternative<AlreadyBuilt>(result.what))
      relinks.push_back(std::move(result));
    else if (std::holds_alternative<UselessBuild>(result.what))
      useless.push_back(std::move(result));
    else
      failures.push_back(std::move(result));
  }
  if (!builds.empty()) settle_builds(std::move(builds));
  if (!relinks.empty()) link_and_release(relinks, false);
  if (!useless.empty()) forget_useless(std::move(useless));
  if (!failures.empty()) settle_failures(std::move(failures));
}

void Dispatcher::forget_useless(Results useless) {
  std::vector<queue::Attempt> attempts;
  for (const auto& result : useless) {
    const auto& build = std::get<UselessBuild>(result.what).build;
    const auto& label = result.work.held->label;
    if (error_kind_from_code(result.attempt.error_kind) == ErrorKind::corrupt)
      log::warn("{}: its archive is damaged: {}; it will be built again", label, result.attempt.error);
    else
      log::info("{}: {}; it will be built here", label, result.attempt.error);
    with_database([&] { return worker_.forget_build(run_id_, build.build_id, result.attempt); });
    attempts.push_back(result.attempt);
  }
  with_database([&] {
    worker_.give_back(run_id_, attempts);
    return true;
  });
  const std::vector<bool> busy = worker_.left_busy();
  for (std::size_t i = 0; i < useless.size(); ++i) {
    if (busy[i])
      postpone(std::move(useless[i]));
    else
      finished(useless[i].work);
  }
}

void Dispatcher::settle_builds(Results builds) {
  std::vector<queue::Completion> completions;
  completions.reserve(builds.size());
  for (auto& result : builds) {
    const double seconds = result.attempt.measured.build_seconds;
    average_build_seconds_ = average_build_seconds_ == 0
                                 ? seconds
                                 : (1 - k_average_weight) * average_build_seconds_ + k_average_weight * seconds;
    result.attempt.measured.commit_seconds = result.since_build.seconds();
    completions.push_back({result.attempt, std::get<queue::BuildRecord>(result.what)});
  }
  const auto committed = with_database([&] { return worker_.commit(run_id_, completions); });
  Results ours;
  const std::vector<bool> busy = worker_.left_busy();
  for (std::size_t i = 0; i < builds.size(); ++i) {
    if (committed[i] || busy[i]) {
      if (busy[i])
        postpone(std::move(builds[i]));
      else
        ours.push_back(std::move(builds[i]));
      continue;
    }
    // Cancelled, or another worker's by now: nobody will ever refer to this file, unless it was the job's build before.
    const auto& before = builds[i].work.job.current;
    const bool made_now = !before || before->build_id != completions[i].build.build_id;
    try {
      if (made_now) site_.store().remove_build(completions[i].build.path);
    } catch (const Error& error) {
      log::warn("{}", error.full_text());
    }
    log::info("{}: its lease was lost or it was cancelled; the build was dropped", builds[i].work.held->label);
    finished(builds[i].work);
  }
  if (!ours.empty()) link_and_release(ours, true);
}

namespace {

queue::Failure link_failure(const queue::Attempt& attempt, const Error& error) {
  queue::Failure failure;
  failure.attempt = attempt;
  failure.attempt.outcome = queue::Outcome::retry;
  failure.attempt.error_kind = error.code();
  failure.attempt.error = error.full_text();
  failure.counts = false;
  failure.retry_after_seconds = 60;
  return failure;
}

}  // namespace

void Dispatcher::link_and_release(Results& committed, bool built_now) {
  std::vector<archive::Link> links;
  for (const auto& result : committed) {
    const auto& build =
        built_now ? std::get<queue::BuildRecord>(result.what) : std::get<AlreadyBuilt>(result.what).build;
    links.push_back({result.work.job.series, result.work.job.archive, build.path});
  }
  // A lease that ran out here may have been taken over, and a newer build linked; release() tells, repair_link mends.
  const auto problems = site_.store().switch_links(links);
  Results failures;
  Results linked;
  for (std::size_t i = 0; i < committed.size(); ++i) {
    AttemptResult& result = committed[i];
    if (problems[i]) result.what = link_failure(result.attempt, *problems[i]);
    (problems[i] ? failures : linked).push_back(std::move(result));
  }
  if (!linked.empty()) {
    const auto released = with_database([&] {
      if (built_now) {
        std::vector<queue::Lease> leases;
        for (const auto& result : linked) leases.push_back(result.attempt.lease);
        return worker_.release(leases);
      }
      std::vector<queue::Attempt> attempts;
      for (const auto& result : linked) attempts.push_back(result.attempt);
      return worker_.release_unbuilt(run_id_, attempts);
    });
    const std::vector<bool> busy = worker_.left_busy();
    for (std::size_t i = 0; i < linked.size(); ++i) {
      if (busy[i]) {
        postpone(std::move(linked[i]));
        continue;
      }
      if (!released[i]) repair_link(linked[i].work);
      finished(linked[i].work);
      std::lock_guard lock(mutex_);
      ++tally_.done;
    }
  }
  if (!failures.empty()) settle_failures(std::move(failures));
}

void Dispatcher::repair_link(const Work& work) {
  // Whoever holds the job now may have linked before us. Following the database until it says the same twice ends with
  // the newest build linked, whoever comes last.
  constexpr int k_tries = 10;
  std::string linked;
  for (int i = 0; i < k_tries; ++i) {
    const auto current = with_database([&] { return worker_.current(work.job.lease.job_id); });
    if (!current || current->build.path == linked) return;
    const queue::BuildRecord& build = current->build;
    // Another host's build is in another store: this one keeps what it has.
    if (site_.store().state_of(build.path, build.size_bytes, build.mtime_ns) != archive::BuildState::good) return;
    try {
      site_.store().switch_link(current->series, current->archive, build.path);
    } catch (const Error& error) {
      log::warn("{}: {}", work.held->label, error.full_text());
      return;
    }
    linked = build.path;
  }
}

void Dispatcher::settle_failures(Results failures) {
  const auto stopped = std::partition(failures.begin(), failures.end(), [](const AttemptResult& result) {
    const auto& failure = std::get<queue::Failure>(result.what);
    return error_kind_from_code(failure.attempt.error_kind) != ErrorKind::stopped;
  });
  std::vector<queue::Failure> failed;
  std::for_each(failures.begin(), stopped,
                [&](const auto& result) { failed.push_back(std::get<queue::Failure>(result.what)); });
  std::vector<bool> busy;
  if (!failed.empty()) {
    with_database([&] { return worker_.fail(run_id_, failed); });
    busy = worker_.left_busy();
  }
  std::vector<queue::Attempt> given_back;
  std::for_each(stopped, failures.end(),
                [&](const auto& result) { given_back.push_back(std::get<queue::Failure>(result.what).attempt); });
  if (!given_back.empty()) {
    with_database([&] {
      worker_.give_back(run_id_, given_back);
      return true;
    });
    busy.insert(busy.end(), worker_.left_busy().begin(), worker_.left_busy().end());
  }
  for (std::size_t i = 0; i < failures.size(); ++i) {
    if (busy[i]) {
      postpone(std::move(failures[i]));
      continue;
    }
    report_failure(failures[i]);
    finished(failures[i].work);
  }
}

void Dispatcher::report_failure(const AttemptResult& result) {
  const auto& failure = std::get<queue::Failure>(result.what);
  const auto kind = error_kind_from_code(failure.attempt.error_kind);
  const auto& label = result.work.held->label;
  if (kind == ErrorKind::stopped || kind == ErrorKind::cancelled || kind == ErrorKind::lease_lost) {
    log::info("{}: {}", label, failure.attempt.error);
    return;
  }
  log::warn("{}: {}{}", label, failure.attempt.error, failure.retryable ? "; it will be tried again" : "");
  std::lock_guard lock(mutex_);
  if (is_disk_trouble(failure.attempt.error_kind))
    tally_.disk_trouble = true;
  else
    ++tally_.failed;
}

void Dispatcher::finished(const Work& work) {
  leases_.remove(work.job.lease);
  --in_flight_;
}

}  // namespace zipmodule::run
