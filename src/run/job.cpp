#include "run/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "archive/audit.hpp"
#include "base/error.hpp"

namespace zipmodule::run {
namespace {

// When the disk is full or the store can't be written, every minute is soon enough: a person has to act.
constexpr double k_disk_retry_seconds = 60;
constexpr double k_unreachable_retry_seconds = 60;
// A person has to act, and a host that counts failed logins should not lock us out meanwhile.
constexpr double k_refused_retry_seconds = 300;
constexpr std::size_t k_missing_in_telemetry = 1'000;

queue::Measurements to_measurements(const archive::BuildMeasurements& measured, double build_seconds) {
  queue::Measurements result;
  result.build_seconds = build_seconds;
  result.plan_seconds = measured.plan_seconds;
  result.read_seconds = measured.write.read_seconds;
  result.compress_seconds = measured.write.compress_seconds;
  result.write_seconds = measured.write.write_seconds;
  result.sync_seconds = measured.sync_seconds;
  result.cpu_seconds = measured.cpu_seconds;
  result.files = measured.files;
  result.files_reused = measured.files_reused;
  result.files_missing = measured.missing.size();
  result.files_excluded = measured.files_excluded;
  result.bytes_in = measured.write.bytes_in;
  result.bytes_out = measured.write.bytes_out;
  return result;
}

// An error that says only 'stopped' means what the lease was stopped for.
Error resolve_stop(const Error& error, StopReason reason) {
  if (error.kind() != ErrorKind::stopped) return error;
  switch (reason) {
    case StopReason::lease_lost:
      return {ErrorKind::lease_lost, "the lease ran out or was taken over before the build was finished"};
    case StopReason::cancelled:
      return {ErrorKind::cancelled, "cancelled while it was built"};
    case StopReason::run_stopped:
    case StopReason::none:
      return error;
  }
  return error;
}

queue::Failure to_failure(const Error& error, queue::Attempt attempt) {
  const ErrorTraits& traits = traits_of(error.kind());
  queue::Failure failure;
  failure.attempt = std::move(attempt);
  failure.attempt.error_kind = traits.code;
  failure.attempt.error = error.full_text();
  failure.counts = traits.counts_attempt;
  failure.retryable = traits.retryable;
  failure.attempt.outcome = traits.retryable ? queue::Outcome::retry : queue::Outcome::failed;
  if (error.kind() == ErrorKind::cancelled) failure.attempt.outcome = queue::Outcome::cancelled;
  if (error.kind() == ErrorKind::disk_reserve) failure.attempt.outcome = queue::Outcome::skipped;
  if (is_disk_trouble(failure.attempt.error_kind)) failure.retry_after_seconds = k_disk_retry_seconds;
  // Others hold the descriptors and threads, as they hold the disk's space: they are waited for in the same way.
  if (error.kind() == ErrorKind::open_files || error.kind() == ErrorKind::threads)
    failure.retry_after_seconds = k_disk_retry_seconds;
  // A host or disk that comes back is not kept waiting for a pause that grew in the meantime.
  if (error.kind() == ErrorKind::root_away) failure.retry_after_seconds = k_unreachable_retry_seconds;
  if (error.kind() == ErrorKind::source_unreachable) failure.retry_after_seconds = k_unreachable_retry_seconds;
  if (error.kind() == ErrorKind::source_refused) failure.retry_after_seconds = k_refused_retry_seconds;
  if (error.kind() == ErrorKind::lease_lost) failure.retry_after_seconds = 0;
  return failure;
}

// What is to be done about the build that the job has. A crash between commit and link leaves a build that the public
// name does not point at yet. One of an older revision is linked here and now, because what follows may fail for good;
// one of this revision by the dispatcher, before it releases, as every other. Returns true where nothing is to be
// built.
bool settle_current_build(const queue::ClaimedJob& job, const archive::Store& store, AttemptResult& result) {
  if (!job.current) return false;
  const queue::BuildRecord& build = *job.current;
  const auto state = store.state_of(stored_file(build));
  const bool good = state == archive::BuildState::good;
  if (result.work.held->stop.stop_requested()) throw Error(ErrorKind::stopped, "building was stopped");
  if (job.built_revision != job.lease.revision) {
    const tree::Link link{job.series, job.archive, build.build_id};
    // As after a restored dump: what was built since stays public until its successor is there.
    if (good && !store.tree().leads_to_younger(link, build.mtime_ns)) store.tree().switch_link(link);
    return false;
  }
  if (good) {
    result.attempt.outcome = queue::Outcome::skipped;
    result.what = AlreadyBuilt{build};
  } else {
    const bool here = job.elsewhere.empty();
    result.attempt.outcome = queue::Outcome::retry;
    result.attempt.error_kind = traits_of(here ? ErrorKind::corrupt : ErrorKind::lease_lost).code;
    result.attempt.error =
        here ? archive::problem_of(state, {stored_file(build), build.fingerprint})
             : fmt::format("{} built {} and stopped before it was linked", job.elsewhere, build_path(build.build_id));
    result.what = UselessBuild{build};
  }
  return true;
}

// What is built and then goes nowhere would be missed by nobody until somebody looks for it there.
void require_targets(const queue::ClaimedJob& job, const std::set<std::string>& targets) {
  for (const auto& target : job.deliver) {
    if (targets.contains(target)) continue;
    throw Error(ErrorKind::config,
                fmt::format("it is to be delivered to '{}', which is no target of this host", target),
                fmt::format("add archives.deliver.{} here, or publish for another target", target));
  }
}

queue::BuildRecord to_record(const archive::FinishedBuild& finished) {
  return {finished.file.build_id, finished.file.size_bytes, finished.entries, finished.fingerprint,
          finished.file.mtime_ns};
}

}  // namespace

archive::StoredFile stored_file(const queue::BuildRecord& build) {
  return {build.build_id, build.size_bytes, build.mtime_ns};
}

bool is_disk_trouble(const std::string& error_kind) {
  const auto kind = error_kind_from_code(error_kind);
  return kind == ErrorKind::disk_full || kind == ErrorKind::disk_reserve || kind == ErrorKind::store_unwritable;
}

archive::BuildRequest build_request(const queue::ClaimedJob& job, zip::Level default_level) {
  archive::BuildRequest request;
  request.label = fmt::format("{}/{}", job.series, job.archive);
  request.files_json = job.files_json;
  request.level = job.level ? zip::parse_level(*job.level).value_or(default_level) : default_level;
  request.skip_missing = job.on_missing == "skip";
  return request;
}

std::optional<archive::StoredFile> older_build(const queue::ClaimedJob& job, const archive::Store& store) {
  if (!job.current) return std::nullopt;
  const archive::StoredFile file = stored_file(*job.current);
  return store.state_of(file) == archive::BuildState::good ? std::optional(file) : std::nullopt;
}

AttemptResult attempt_job(Work work, const archive::Builder& builder, const archive::Store& store,
                          const JobDefaults& defaults) {
  AttemptResult result{std::move(work), queue::Failure{}, {}, {}};
  const queue::ClaimedJob& job = result.work.job;
  HeldLease& held = *result.work.held;
  queue::Attempt& attempt = result.attempt;
  attempt.lease = job.lease;
  held.started = true;
  Stopwatch watch;
  archive::BuildMeasurements measured;
  const auto measure = [&] {
    attempt.measured = to_measurements(measured, watch.seconds());
    const auto most = std::min(measured.missing.size(), k_missing_in_telemetry);
    attempt.missing.assign(measured.missing.begin(), measured.missing.begin() + static_cast<std::ptrdiff_t>(most));
  };
  try {
    if (settle_current_build(job, store, result)) return result;
    require_targets(job, defaults.targets);
    archive::BuildRequest request = build_request(job, defaults.level);
    request.older = older_build(job, store);
    if (job.current) request.newer_than_ns = job.current->mtime_ns;
    if (defaults.before_build) defaults.before_build();
    const auto finished = builder.build(request, held.stop.get_token(), held.progress, measured);
    measure();
    attempt.outcome = queue::Outcome::done;
    result.what = to_record(finished);
  } catch (const Error& error) {
    measure();
    result.what = to_failure(resolve_stop(error, held.reason), attempt);
  } catch (const std::exception& error) {
    measure();
    result.what = to_failure(Error(ErrorKind::internal, error.what()), attempt);
  }
  result.since_build = Stopwatch();
  return result;
}

}  // namespace zipmodule::run
