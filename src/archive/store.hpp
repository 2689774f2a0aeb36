// The archive store: the published tree of this host (tree/tree.hpp), which builds are made in, with
//
//   <root>/.zipmodule.lock                  held by the one run that may write here
//   <root>/builds/ab/<id>.sources           what is remembered of a build's sources (source_record.hpp)
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/archive_name.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/file_lock.hpp"
#include "tree/tree.hpp"

namespace zipmodule::archive {

// A finished file in builds/.
struct StoredFile {
  std::string build_id;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;

  std::string path() const { return build_path(build_id); }  // relative to the store's root
};

class Store;

// A build in progress. Without publish() the destructor removes it.
class TemporaryBuild {
 public:
  TemporaryBuild(TemporaryBuild&& other) noexcept;
  TemporaryBuild& operator=(TemporaryBuild&&) = delete;
  ~TemporaryBuild();

  int fd() const noexcept { return part_.fd(); }
  const std::string& path() const noexcept { return part_.path(); }  // absolute

  // Syncs the file, renames it to its final name and syncs that folder: from then on it survives a crash. Where that
  // fails, nothing of it is left. Throws Error{disk_full, store_unwritable, io}. `record` writes what is remembered of
  // the build's sources to the path it is given, which belongs to the build. The file's time lies in a later second
  // than `newer_than_ns`: web servers make validators of size and second.
  StoredFile publish(const std::function<void(const std::string& path)>& record = {},
                     std::optional<std::int64_t> newer_than_ns = std::nullopt);

 private:
  friend class Store;
  TemporaryBuild(const Store& store, tree::Part part);

  const Store* store_;
  tree::Part part_;
};

// Space promised to a build, so that builds at the same time don't count on the same bytes. What the build has written
// of it by now is not free any more, and no longer counted as promised.
class SpaceReservation {
 public:
  SpaceReservation(std::atomic<std::uint64_t>& reserved, std::uint64_t bytes) : reserved_(&reserved), bytes_(bytes) {
    *reserved_ += bytes_;
  }
  SpaceReservation(SpaceReservation&& other) noexcept
      : reserved_(other.reserved_), bytes_(std::exchange(other.bytes_, 0)) {}
  SpaceReservation& operator=(SpaceReservation&&) = delete;
  ~SpaceReservation() { *reserved_ -= bytes_; }

 private:
  std::atomic<std::uint64_t>* reserved_;
  std::uint64_t bytes_;
};

enum class BuildState {
  good,        // there, with the recorded size and time
  touched,     // the size is right, the modification time is not: someone wrote to it, or restored it
  wrong_size,  // truncated or grown
  missing,
};

// The store's folders: made where they are missing, or left as they are, for who only looks.
enum class Folders { made, expected };

// Thread-safe. Errors of all calls: Error{disk_full, store_unwritable, io} naming the path, unless said otherwise.
class Store {
 public:
  // `min_free_bytes` is what builds must leave free.
  Store(std::filesystem::path root, std::uint64_t min_free_bytes, tree::Access access = {},
        Folders folders = Folders::made);

  const tree::Tree& tree() const noexcept { return tree_; }
  const std::filesystem::path& root() const noexcept { return tree_.root(); }

  // The lock that keeps two writers of one store apart; nullopt if another holds it.
  std::optional<FileLock> try_lock() const;
  std::filesystem::path lock_path() const { return root() / ".zipmodule.lock"; }

  // Promises `bytes`, which must be no less than the temporary file will grow to. Throws Error{disk_reserve} with the
  // figures where that would leave less than min_free_bytes.
  SpaceReservation reserve(std::uint64_t bytes) const;

  TemporaryBuild create_temporary() const;

  BuildState state_of(const StoredFile& expected) const;
  std::filesystem::path absolute(const std::string& build_id) const { return tree_.build_file(build_id); }
  // Where what is remembered of a build's sources lies: beside it. May be missing.
  std::filesystem::path record_path(const std::string& build_id) const;
  void remove_build(const std::string& build_id) const;  // with its record; no error if it is gone
  // Every build by its id, and every record whose build is gone. In no order.
  void for_each_build(const std::function<void(const std::string& build_id)>& visit) const;

 private:
  friend class TemporaryBuild;
  // Of the promised bytes those that no temporary file has taken yet.
  std::uint64_t outstanding_bytes() const;

  const tree::Tree tree_;
  const std::uint64_t min_free_bytes_;
  mutable std::atomic<std::uint64_t> reserved_{0};
  mutable std::mutex mutex_;
  mutable std::set<int> open_temporaries_;  // guarded by mutex_: descriptors, each taken out before it is closed
};

}  // namespace zipmodule::archive
