// The archive store on this host's disk:
//
//   <root>/.zipmodule.store                 tells that the disk is mounted
//   <root>/.zipmodule.lock                  held by the one run that may write here
//   <root>/tmp/<id>.zip                     being built; swept by the next run
//   <root>/builds/ab/<id>.zip               immutable; 128 random bits: the name tells neither series nor content
//   <root>/builds/ab/<id>.sources           what is remembered of its sources (source_record.hpp)
//   <root>/public/<series>/<archive>.zip    relative symlink to the current build, replaced by rename
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

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/file_lock.hpp"

namespace zipmodule::archive {

// A finished file in builds/.
struct StoredFile {
  std::string build_id;  // 32 lowercase hex digits
  std::string path;      // relative to the store's root
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
};

// What a public name is to point at.
struct Link {
  std::string series;
  std::string archive;
  std::string build_path;
};

class Store;

// A build in progress. Without publish() the destructor removes it.
class TemporaryBuild {
 public:
  TemporaryBuild(TemporaryBuild&& other) noexcept;
  TemporaryBuild& operator=(TemporaryBuild&&) = delete;
  ~TemporaryBuild();

  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }  // absolute

  // Syncs the file, renames it to its final name and syncs that folder: from then on it survives a crash. Throws
  // Error{disk_full, store_unwritable, io}.
  // `record` writes what is remembered of the build's sources to the path it is given, which belongs to the build.
  StoredFile publish(const std::function<void(const std::string& path)>& record = {});

 private:
  friend class Store;
  TemporaryBuild(const Store& store, std::string id, std::string path, Fd fd);

  const Store* store_;
  std::string id_;
  std::string path_;
  Fd fd_;
};

// Space promised to a build, so that builds at the same time don't count on the same bytes. What the build has written of
// it by now is not free any more, and no longer counted as promised.
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
  Store(std::filesystem::path root, std::uint64_t min_free_bytes, Folders folders = Folders::made);

  const std::filesystem::path& root() const noexcept { return root_; }

  // Whether this is a store at all: a file that the first run puts there. Without it, a disk that is not mounted would look
  // like a store whose archives were all destroyed.
  bool has_marker() const;
  void write_marker() const;

  // The lock that keeps two writers of one store apart; nullopt if another holds it.
  std::optional<FileLock> try_lock() const;
  std::filesystem::path lock_path() const { return root_ / ".zipmodule.lock"; }

  // Promises `bytes`, which must be no less than the temporary file will grow to. Throws Error{disk_reserve} with the figures where that would leave less than min_free_bytes.
  SpaceReservation reserve(std::uint64_t bytes) const;
  std::uint64_t free_bytes() const;

  TemporaryBuild create_temporary() const;

  // Points public/<series>/<archive>.zip at a build, by rename, and syncs the folder. Does nothing if it points there
  // already. Throws Error{payload} for names that publish would not have let in.
  void switch_link(const std::string& series, const std::string& archive, const std::string& build_path) const;
  // The same for many, with their folders synced together. result[i]: why links[i] was not switched, or is not surely on
  // the disk; nullopt when all is well. Never throws an Error for what concerns a single link.
  std::vector<std::optional<Error>> switch_links(const std::vector<Link>& links) const;
  // What the link points at, relative to the root; nullopt if there is none.
  std::optional<std::string> link_target(const std::string& series, const std::string& archive) const;
  // Removes the link if it points at this build.
  void remove_link(const std::string& series, const std::string& archive, const std::string& build_path) const;

  BuildState state_of(const std::string& build_path, std::uint64_t size_bytes, std::int64_t mtime_ns) const;
  std::filesystem::path absolute(const std::string& build_path) const { return root_ / build_path; }
  // Where what is remembered of a build's sources lies: beside it. May be missing.
  std::filesystem::path record_path(const std::string& build_path) const;
  void remove_build(const std::string& build_path) const;  // with its record; no error if it is gone

  // Removes everything in tmp/; returns how many. Only with the lock held.
  std::size_t sweep_temporaries() const;
  // Every build file, by id, with its path, and every record whose build is gone. In no order.
  void for_each_build(const std::function<void(const std::string& build_id, const std::string& path)>& visit) const;

 private:
  friend class TemporaryBuild;
  // Switches without a sync; returns the folders that need one, none where the link was right already.
  std::set<std::filesystem::path> rename_link(const Link& link) const;
  std::filesystem::path link_path(const std::string& series, const std::string& archive) const;
  // Of the promised bytes those that no temporary file has taken yet.
  std::uint64_t outstanding_bytes() const;

  const std::filesystem::path root_;
  const std::uint64_t min_free_bytes_;
  mutable std::atomic<std::uint64_t> reserved_{0};
  mutable std::mutex mutex_;
  mutable std::set<int> open_temporaries_;  // guarded by mutex_: descriptors, each taken out before it is closed
};

// "public/<series>/<archive>.zip", relative to the store. Throws Error{payload} for names that publish would not have let in.
std::string public_path(const std::string& series, const std::string& archive);

// "builds/ab/abcdef....zip"
std::string build_path(const std::string& build_id);

}  // namespace zipmodule::archive
