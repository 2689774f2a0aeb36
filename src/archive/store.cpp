#include "archive/store.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/folders.hpp"
#include "base/random_hex.hpp"
#include "zip/entry.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_record_suffix = ".sources";
constexpr std::int64_t k_second_ns = 1'000'000'000;

}  // namespace

TemporaryBuild::TemporaryBuild(const Store& store, tree::Part part) : store_(&store), part_(std::move(part)) {
  std::lock_guard lock(store_->mutex_);
  store_->open_temporaries_.insert(part_.fd());
}

TemporaryBuild::TemporaryBuild(TemporaryBuild&& other) noexcept : store_(other.store_), part_(std::move(other.part_)) {}

TemporaryBuild::~TemporaryBuild() {
  if (part_.fd() < 0) return;
  std::lock_guard lock(store_->mutex_);
  store_->open_temporaries_.erase(part_.fd());
}

StoredFile TemporaryBuild::publish(const std::function<void(const std::string& path)>& record,
                                   std::optional<std::int64_t> newer_than_ns) {
  std::optional<std::int64_t> time;
  if (newer_than_ns) {
    struct stat s {};
    if (::fstat(part_.fd(), &s) != 0) throw store_error(errno, "stat " + part_.path());
    const std::int64_t least = zip::floor_seconds(*newer_than_ns) + 1;
    if (s.st_mtim.tv_sec < least) time = least * k_second_ns;
  }
  const fs::path record_path = store_->record_path(part_.build_id());
  try {
    const tree::BuildFile file = part_.publish(time);
    // Not synced: one that a crash damages is found by its CRC and not used.
    if (record) record(record_path);
    part_.keep();
    return {part_.build_id(), file.size_bytes, file.mtime_ns};
  } catch (...) {
    ::unlink(record_path.c_str());
    throw;  // and the destructor removes the build
  }
}

Store::Store(fs::path root, std::uint64_t min_free_bytes, tree::Access access, Folders folders)
    : tree_(std::move(root), access), min_free_bytes_(min_free_bytes) {
  if (folders == Folders::made) tree_.make_folders();
}

std::optional<FileLock> Store::try_lock() const { return FileLock::try_acquire(lock_path()); }

std::uint64_t Store::outstanding_bytes() const {
  std::uint64_t written = 0;
  {
    std::lock_guard lock(mutex_);
    for (const int fd : open_temporaries_) {
      struct stat s {};
      if (::fstat(fd, &s) != 0) continue;
      // A file that is written from several places at once has holes; a small one has a block larger than itself. The
      // lesser of the two is never more than what was promised for it.
      constexpr std::uint64_t k_block = 512;  // the unit of st_blocks, whatever the file system's is
      written += std::min(static_cast<std::uint64_t>(s.st_size), static_cast<std::uint64_t>(s.st_blocks) * k_block);
    }
  }
  const std::uint64_t reserved = reserved_;
  return reserved - std::min(reserved, written);
}

SpaceReservation Store::reserve(std::uint64_t bytes) const {
  SpaceReservation reservation(reserved_, bytes);
  // In this order: what is written in between is counted twice for a moment, never not at all.
  const std::uint64_t outstanding = outstanding_bytes();
  const std::uint64_t free = tree_.free_bytes();
  if (free < min_free_bytes_ || free - min_free_bytes_ < outstanding) {
    throw Error(ErrorKind::disk_reserve,
                fmt::format("{} has {} bytes free; builds in progress need {} and archives.min_free keeps {}",
                            root().string(), free, outstanding, min_free_bytes_),
                "free space there, shorten archives.grace, or lower archives.min_free");
  }
  return reservation;
}

TemporaryBuild Store::create_temporary() const { return {*this, tree_.create_part(random_hex())}; }

BuildState Store::state_of(const StoredFile& expected) const {
  const auto found = tree_.find(expected.build_id);
  if (!found) return BuildState::missing;
  if (found->size_bytes != expected.size_bytes) return BuildState::wrong_size;
  return found->mtime_ns == expected.mtime_ns ? BuildState::good : BuildState::touched;
}

fs::path Store::record_path(const std::string& build_id) const {
  return absolute(build_id).replace_extension(k_record_suffix);
}

void Store::remove_build(const std::string& build_id) const {
  unlink_or_throw(record_path(build_id));
  tree_.remove_build(build_id);
}

void Store::for_each_build(const std::function<void(const std::string&)>& visit) const {
  tree_.for_each_build(visit, k_record_suffix);
}

}  // namespace zipmodule::archive
