#include "archive/builder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "zip/output.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
std::unique_ptr<Plan> Builder::plan(const BuildRequest& request, const std::stop_token& stop) const {
  return make_plan_after(request, open_record(request), stop);
}

std::unique_ptr<Plan> Builder::make_plan_after(const BuildRequest& request, const std::optional<SourceRecord>& record,
                                               const std::stop_token& stop) const {
  PlanOptions options = options_.plan;
  options.skip_missing = request.skip_missing;
  options.recorded = true;
  if (record) options.mounted_before = record->mounts();
  return make_plan(request.files_json, roots_, options, stop);
}

// What is known of the older build's sources, nullopt where nothing is.
std::optional<SourceRecord> Builder::open_record(const BuildRequest& request) const {
  if (!request.older) return std::nullopt;
  try {
    return SourceRecord::open(store_.record_path(request.older->build_id));
  } catch (const Error& error) {
    log::warn("{}: nothing is reused: {}", request.label, error.what());
    return std::nullopt;
  }
}

std::unique_ptr<BaseArchive> Builder::open_older(const BuildRequest& request, std::optional<SourceRecord> record,
                                                 Plan& plan_made) const {
  if (!record || record->build().level != request.level) return nullptr;
  try {
    return std::make_unique<BaseArchive>(store_.absolute(request.older->build_id), std::move(record), plan_made,
                                         plan_made, options_.verify_reuse);
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
  std::string problem;
  try {
    const auto report = zip::verify_archive(older.file(), resources_.pool, stop);
    if (report.ok()) return true;
    problem = fmt::format("{}: {}", older.file().path, report.findings.front().text);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io) throw;
    problem = error.what();
  }
  log::warn("{}: nothing is reused: {}", request.label, problem);
  return false;
}

// A validator that changes without the bytes would cost every reader a download.
bool Builder::same_bytes(const TemporaryBuild& temporary, const StoredFile& older) const {
  constexpr std::size_t k_piece_bytes = std::size_t{1} << 20U;
  struct stat s {};
  if (::fstat(temporary.fd(), &s) != 0 || static_cast<std::uint64_t>(s.st_size) != older.size_bytes) return false;
  const Fd fd(::open(store_.absolute(older.build_id).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return false;
  std::vector<std::byte> ours(k_piece_bytes);
  std::vector<std::byte> theirs(k_piece_bytes);
  for (std::uint64_t offset = 0;; offset += k_piece_bytes) {
    const ssize_t a = pread_full(temporary.fd(), ours, offset);
    const ssize_t b = pread_full(fd.get(), theirs, offset);
    if (a < 0 || a != b || std::memcmp(ours.data(), theirs.data(), static_cast<std::size_t>(a)) != 0) return false;
    if (static_cast<std::size_t>(a) < k_piece_bytes) return true;
  }
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
  Stopwatch watch;
  auto record = open_record(request);
  const std::unique_ptr<Plan> plan = make_plan_after(request, record, stop);
  measured.files = plan->files();
  measured.files_excluded = plan->files_excluded();
  measured.missing = plan->missing();
  for (const std::string& warning : plan->warnings()) log::info("{}: {}", request.label, warning);
  auto older = open_older(request, std::move(record), *plan);
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
  const auto write_record = [&](const std::string& record_path) {
    write_source_record(
        record_path, {request.level, options.align, finished.entries, measured.write.bytes_out, finished.fingerprint},
        *plan);
  };
  if (request.older && same_bytes(temporary, *request.older)) {
    write_record(store_.record_path(request.older->build_id));
    finished.file = *request.older;
  } else {
    finished.file = temporary.publish(write_record, request.newer_than_ns);
  }
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
