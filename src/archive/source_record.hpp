// What is remembered of a build's sources, so that the next build of the same archive knows which of them are
// unchanged. It lies beside the build, builds/ab/<id>.sources, and not in the archive, which stays the same whenever
// and wherever it is made. Losing it costs time, never correctness.
//
//   header   "zmsrc\0\0\2", level (8 bit), aligned (8 bit), 0 (16 bit), bytes of the mount points (32 bit), entries, size of
//            the archive (64 bit each), fingerprint of the archive (32 bytes)
//   entries  in the archive's order: the version of the source (128 bit); all zero where nothing is known
//   mounts   of each folder that another file system was mounted on, as "root:path", and NUL. No device number: the next
//            mount may have another
//   end      CRC-32 of all before
//
// Numbers are little-endian.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/plan.hpp"
#include "base/fd.hpp"
#include "zip/level.hpp"

namespace zipmodule::archive {

// How an archive was made, and which one it is.
struct RecordedBuild {
  zip::Level level = zip::Level::balanced;
  bool aligned = false;
  std::uint64_t entries = 0;
  std::uint64_t size_bytes = 0;
  std::string fingerprint;  // 64 hex digits

  bool operator==(const RecordedBuild&) const = default;
};

// Writes the record of a build of `plan` to `path`. Versions that are not settled are left out: their files could be
// changed again without another version. Throws the store's errors.
void write_source_record(const std::string& path, const RecordedBuild& build, const Plan& plan);

// An open record whose CRC was right. Not thread-safe.
class SourceRecord {
 public:
  // nullopt where there is none, or one of another version of this program. Throws Error{corrupt} for one that is cut
  // or damaged, Error{io}.
  static std::optional<SourceRecord> open(const std::string& path);

  const RecordedBuild& build() const noexcept { return build_; }
  // Plan::mounts() of then.
  const std::vector<MountPoint>& mounts() const noexcept { return mounts_; }
  // The version of an entry's source, nullopt where nothing is known. Reads in blocks: quick in the archive's order.
  std::optional<storage::Version> at(std::uint64_t entry);

 private:
  SourceRecord(Fd fd, std::string path, RecordedBuild build)
      : fd_(std::move(fd)), path_(std::move(path)), build_(std::move(build)) {}
  void read_mounts(std::uint64_t bytes);
  void require_crc(std::uint64_t bytes);

  Fd fd_;
  std::string path_;
  RecordedBuild build_;
  std::vector<MountPoint> mounts_;
  std::vector<std::byte> block_;
  std::uint64_t block_first_ = 0;  // entry at the start of block_
};

}  // namespace zipmodule::archive
