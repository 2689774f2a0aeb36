#include "run/settler.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace zipmodule::run {

Settler::Results Settler::settle(Results results) {
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
  return std::exchange(postponed_, {});
}

void Settler::forget_useless(Results useless) {
  std::vector<queue::Attempt> attempts;
  for (const auto& result : useless) {
    const auto& build = std::get<UselessBuild>(result.what).build;
    const auto& label = result.work.held->label;
    if (error_kind_from_code(result.attempt.error_kind) == ErrorKind::corrupt)
      log::warn("{}: its archive is damaged: {}; it will be built again", label, result.attempt.error);
    else
      log::info("{}: {}; it will be built here", label, result.attempt.error);
    patience_.with_database([&] { return worker_.forget_build(run_id_, build.build_id, result.attempt); });
    attempts.push_back(result.attempt);
  }
  patience_.with_database([&] { worker_.give_back(run_id_, attempts); });
  const std::vector<bool> busy = worker_.left_busy();
  for (std::size_t i = 0; i < useless.size(); ++i) {
    if (busy[i])
      postpone(std::move(useless[i]));
    else
      finished(useless[i].work);
  }
}

void Settler::settle_builds(Results builds) {
  std::vector<queue::Completion> completions;
  completions.reserve(builds.size());
  for (auto& result : builds) {
    result.attempt.measured.commit_seconds = result.since_build.seconds();
    completions.push_back({result.attempt, std::get<queue::BuildRecord>(result.what)});
  }
  const auto committed = patience_.with_database([&] { return worker_.commit(run_id_, completions); });
  Results ours;
  const std::vector<bool> busy = worker_.left_busy();
  for (std::size_t i = 0; i < builds.size(); ++i) {
    if (busy[i]) {
      postpone(std::move(builds[i]));
    } else if (committed[i]) {
      ours.push_back(std::move(builds[i]));
    } else {
      drop_build(builds[i].work, completions[i].build);
      finished(builds[i].work);
    }
  }
  if (!ours.empty()) link_and_release(ours, true);
}

// Cancelled, or another worker's by now: nobody will ever refer to this file, unless it was the job's build before.
void Settler::drop_build(const Work& work, const queue::BuildRecord& build) {
  const auto& before = work.job.current;
  const bool made_now = !before || before->build_id != build.build_id;
  try {
    if (made_now) site_.store().remove_build(build.build_id);
  } catch (const Error& error) {
    log::warn("{}", error.full_text());
  }
  log::info("{}: its lease was lost or it was cancelled; the build was dropped", work.held->label);
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

void Settler::link_and_release(Results& committed, bool built_now) {
  std::vector<tree::Link> links;
  for (const auto& result : committed) {
    const auto& build =
        built_now ? std::get<queue::BuildRecord>(result.what) : std::get<AlreadyBuilt>(result.what).build;
    links.push_back({result.work.job.series, result.work.job.archive, build.build_id});
  }
  // A lease that ran out here may have been taken over, and a newer build linked; release() tells, repair_link mends.
  const auto problems = site_.store().tree().switch_links(links);
  Results failures;
  Results linked;
  for (std::size_t i = 0; i < committed.size(); ++i) {
    AttemptResult& result = committed[i];
    if (problems[i]) result.what = link_failure(result.attempt, *problems[i]);
    (problems[i] ? failures : linked).push_back(std::move(result));
  }
  if (!linked.empty()) {
    const auto released = release(linked, built_now);
    const std::vector<bool> busy = worker_.left_busy();
    for (std::size_t i = 0; i < linked.size(); ++i) {
      if (busy[i]) {
        postpone(std::move(linked[i]));
        continue;
      }
      if (!released[i]) repair_link(linked[i].work);
      finished(linked[i].work);
      ++done_;
    }
  }
  if (!failures.empty()) settle_failures(std::move(failures));
}

std::vector<bool> Settler::release(const Results& linked, bool built_now) {
  if (built_now) {
    std::vector<queue::Lease> leases;
    for (const auto& result : linked) leases.push_back(result.attempt.lease);
    return patience_.with_database([&] { return worker_.release(leases); });
  }
  std::vector<queue::Attempt> attempts;
  for (const auto& result : linked) attempts.push_back(result.attempt);
  return patience_.with_database([&] { return worker_.release_unbuilt(run_id_, attempts); });
}

void Settler::repair_link(const Work& work) {
  // Whoever holds the job now may have linked before us. Following the database until it says the same twice ends with
  // the newest build linked, whoever comes last.
  constexpr int k_tries = 10;
  std::string linked;
  for (int i = 0; i < k_tries; ++i) {
    const auto current = patience_.with_database([&] { return worker_.current(work.job.lease.job_id); });
    if (!current || current->build.build_id == linked) return;
    const queue::BuildRecord& build = current->build;
    // Another host's build is in another store: this one keeps what it has.
    if (site_.store().state_of(stored_file(build)) != archive::BuildState::good) return;
    try {
      site_.store().tree().switch_link({current->series, current->archive, build.build_id});
    } catch (const Error& error) {
      log::warn("{}: {}", work.held->label, error.full_text());
      return;
    }
    linked = build.build_id;
  }
}

void Settler::settle_failures(Results failures) {
  const auto stopped = std::partition(failures.begin(), failures.end(), [](const AttemptResult& result) {
    const auto& failure = std::get<queue::Failure>(result.what);
    return error_kind_from_code(failure.attempt.error_kind) != ErrorKind::stopped;
  });
  std::vector<queue::Failure> failed;
  std::for_each(failures.begin(), stopped,
                [&](const auto& result) { failed.push_back(std::get<queue::Failure>(result.what)); });
  std::vector<bool> busy;
  if (!failed.empty()) {
    patience_.with_database([&] { return worker_.fail(run_id_, failed); });
    busy = worker_.left_busy();
  }
  std::vector<queue::Attempt> given_back;
  std::for_each(stopped, failures.end(),
                [&](const auto& result) { given_back.push_back(std::get<queue::Failure>(result.what).attempt); });
  if (!given_back.empty()) {
    patience_.with_database([&] { worker_.give_back(run_id_, given_back); });
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

void Settler::report_failure(const AttemptResult& result) {
  const auto& failure = std::get<queue::Failure>(result.what);
  const auto kind = error_kind_from_code(failure.attempt.error_kind);
  const auto& label = result.work.held->label;
  if (kind == ErrorKind::stopped || kind == ErrorKind::cancelled || kind == ErrorKind::lease_lost) {
    log::info("{}: {}", label, failure.attempt.error);
    return;
  }
  log::warn("{}: {}{}", label, failure.attempt.error, failure.retryable ? "; it will be tried again" : "");
  if (is_disk_trouble(failure.attempt.error_kind))
    disk_trouble_ = true;
  else
    ++failed_;
}

}  // namespace zipmodule::run
