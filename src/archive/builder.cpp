#include "archive/builder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "zip/output.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
namespace {

std::int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

std::unique_ptr<Plan> Builder::plan(const BuildRequest& request, const std::stop_token& stop) const {
  PlanOptions options = options_.plan;
  options.skip_missing = request.skip_missing;
  return make_plan(request.files_json, roots_, options, stop);
}

std::unique_ptr<BaseArchive> Builder::open_older(const BuildRequest& request, const Plan& plan_made,
                                                 zip::Content& content) const {
  if (!request.older) return nullptr;
  const std::string path = store_.absolute(request.older->path);
  try {
    auto record = SourceRecord::open(store_.record_path(request.older->path));
    if (!record || record->build().level != request.level) return nullptr;
    return std::make_unique<BaseArchive>(path, std::move(record), plan_made, content, options_.verify_reuse);
  } catch (const Error& error) {
    log::warn("{}: nothing is reused: {}", request.label, error.what());
    return nullptr;
  }
}

bool Builder::aligns(const TemporaryBuild& temporary) const {
  if (!options_.align) return false;
  std::call_once(asked_sharing_,
                 [&] { shares_blocks_ = zip::shares_blocks(std::filesystem::path(temporary.path()).parent_path()); });
  return shares_blocks_;
}

namespace {

bool unchanged(const BaseArchive* older, bool align) {
  return older != nullptr && older->identical() && older->record().aligned == align;
}

}  // namespace

// With VerifyReuse::always nothing is taken over unread, not even the whole.
bool Builder::is_sound(const BuildRequest& request, const BaseArchive& older, const std::stop_token& stop) const {
  if (options_.verify_reuse != VerifyReuse::always) return true;
  const auto report = zip::verify_archive(older.file(), resources_.pool, stop);
  if (report.ok()) return true;
  log::warn("{}: nothing is reused: {}", request.label, report.problems.front());
  return false;
}

zip::WriteResult Builder::write(const BuildRequest& request, const TemporaryBuild& temporary, Plan& plan_made,
                                std::unique_ptr<BaseArchive> older, const zip::WriteOptions& options,
                                const std::stop_token& stop, BuildMeasurements& measured) const {
  if (older) {
    try {
      auto written = zip::write_archive(temporary.fd(), temporary.path(), plan_made, *older, options, resources_, stop);
      measured.files_reused = older->reused();
      return written;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::corrupt) throw;
      log::warn("{}: nothing is reused: {}", request.label, error.what());
    }
    if (::ftruncate(temporary.fd(), 0) != 0) throw store_error(errno, "truncate " + temporary.path());
    *options.progress = 0;
  }
  return zip::write_archive(temporary.fd(), temporary.path(), plan_made, plan_made, options, resources_, stop);
}

FinishedBuild Builder::try_build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                                 BuildMeasurements& measured) const {
  const double cpu_before = thread_cpu_seconds();
  const std::int64_t settled_before = now_ns() - options_.settled_after.count();
  Stopwatch watch;
  const std::unique_ptr<Plan> plan = this->plan(request, stop);
  measured.files = plan->files();
  measured.missing = plan->missing();
  for (const std::string& warning : plan->warnings()) log::info("{}: {}", request.label, warning);
  auto older = open_older(request, *plan, *plan);
  measured.plan_seconds += watch.lap();

  TemporaryBuild temporary = store_.create_temporary();
  zip::WriteOptions options;
  options.level = request.level;
  options.allow_empty = options_.allow_empty;
  options.progress = &progress.bytes_done;
  options.align = aligns(temporary);
  options.write_back = true;
  const bool same = unchanged(older.get(), options.align);
  if (same && !is_sound(request, *older, stop)) older.reset();
  if (same && older) {
    measured.files_reused = measured.files;
    measured.cpu_seconds += thread_cpu_seconds() - cpu_before;
    return {*request.older, older->entries(), older->fingerprint()};
  }
  const SpaceReservation reservation = store_.reserve(zip::most_bytes(*plan, options.align));
  progress.bytes_done = 0;
  progress.bytes_total = plan->content_bytes();
  measured.write = write(request, temporary, *plan, std::move(older), options, stop, measured);

  watch.lap();
  FinishedBuild finished;
  finished.entries = plan->size();
  finished.fingerprint = zip::verify_against_plan(zip::open_archive(temporary.fd(), temporary.path()), *plan);
  if (stop.stop_requested()) throw Error(ErrorKind::stopped, "building was stopped");
  finished.file = temporary.publish([&](const std::string& record_path) {
    write_source_record(
        record_path, {request.level, options.align, finished.entries, measured.write.bytes_out, finished.fingerprint},
        *plan, settled_before);
  });
  measured.sync_seconds += watch.lap();
  measured.cpu_seconds += measured.write.cpu_seconds + thread_cpu_seconds() - cpu_before;
  return finished;
}

FinishedBuild Builder::build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                             BuildMeasurements& measured) const {
  constexpr int k_tries = 3;  // a CMS that is still writing is usually done by the second
  for (int i = 1;; ++i) {
    try {
      return try_build(request, stop, progress, measured);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::source_changed || i == k_tries) throw;
      log::info("{}: {}; trying again", request.label, error.what());
    }
  }
}

}  // namespace zipmodule::archive
