// One job's file list -> one immutable, verified build in the store.
//
//   list -> plan -> space -> temporary -> zip engine -> read back and compare -> sync, rename
//             \-> the job's last build, and what is recorded of its sources: what is unchanged is copied from it; where
//                 nothing changed, it is the result
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/base_archive.hpp"
#include "archive/plan.hpp"
#include "archive/store.hpp"
#include "zip/level.hpp"
#include "zip/writer.hpp"

namespace zipmodule::archive {

struct BuildRequest {
  std::string label;  // "series/archive", for messages
  std::string files_json;
  zip::Level level = zip::Level::balanced;
  bool skip_missing = false;
  std::optional<StoredFile> older{};  // the job's last build, found good: what is unchanged is taken from it
  // The time of the job's last build, wherever that is: the new one's lies in a later second.
  std::optional<std::int64_t> newer_than_ns{};
};

// How far a build is; written by its threads, read by whoever shows it.
struct BuildProgress {
  std::atomic<std::uint64_t> bytes_total{0};
  std::atomic<std::uint64_t> bytes_done{0};
  double fraction() const noexcept {
    const auto total = bytes_total.load();
    return total == 0 ? 0.0 : static_cast<double>(bytes_done.load()) / static_cast<double>(total);
  }
};

// What was measured, also of a build that failed: as far as it came. Seconds; read, compress and write summed over
// threads.
struct BuildMeasurements {
  double plan_seconds = 0;
  double sync_seconds = 0;  // reading back, syncing and renaming
  double cpu_seconds = 0;
  zip::WriteResult write;
  std::uint64_t files = 0;
  std::uint64_t files_reused = 0;
  std::uint64_t files_excluded = 0;
  std::vector<std::string> missing;
};

struct FinishedBuild {
  StoredFile file;
  std::uint64_t entries = 0;
  std::string fingerprint;
};

struct BuilderOptions {
  PlanOptions plan;
  bool allow_empty = false;
  bool align = true;  // where the store's file system can share blocks
  VerifyReuse verify_reuse = VerifyReuse::sample;
};

// Thread-safe; everything it refers to must outlive it.
class Builder {
 public:
  Builder(const Store& store, const Roots& roots, BuilderOptions options, zip::Resources resources)
      : store_(store), roots_(roots), options_(std::move(options)), resources_(resources) {}

  // Plans and builds. A source that changes meanwhile is planned and built again, at most twice, before it is an error.
  // Where nothing changed since request.older, or the same bytes came out, that is returned and keeps its time; with
  // VerifyReuse::always it is read and every entry decoded before. An older build that turns out to be damaged is not
  // used, with a warning. Throws what make_plan, write_archive, verify_against_plan and the store throw; nothing is
  // left in the store then.
  FinishedBuild build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                      BuildMeasurements& measured) const;

  // The plan alone, for a dry run. Throws what make_plan throws.
  std::unique_ptr<Plan> plan(const BuildRequest& request, const std::stop_token& stop) const;

 private:
  FinishedBuild try_build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                          BuildMeasurements& measured) const;

  std::optional<SourceRecord> open_record(const BuildRequest& request) const;
  std::unique_ptr<Plan> make_plan_after(const BuildRequest& request, const std::optional<SourceRecord>& record,
                                        const std::stop_token& stop) const;
  std::unique_ptr<BaseArchive> open_older(const BuildRequest& request, std::optional<SourceRecord> record,
                                          Plan& plan_made) const;
  bool is_sound(const BuildRequest& request, const BaseArchive& older, const std::stop_token& stop) const;
  bool same_bytes(const TemporaryBuild& temporary, const StoredFile& older) const;
  zip::WriteResult write(const BuildRequest& request, const TemporaryBuild& temporary, Plan& plan_made,
                         std::unique_ptr<BaseArchive> older, const zip::WriteOptions& options,
                         const std::stop_token& stop, BuildMeasurements& measured) const;
  bool aligns(const TemporaryBuild& temporary) const;

  const Store& store_;
  const Roots& roots_;
  const BuilderOptions options_;
  const zip::Resources resources_;

  mutable std::once_flag asked_sharing_;
  mutable bool shares_blocks_ = false;  // written under asked_sharing_
};

}  // namespace zipmodule::archive
