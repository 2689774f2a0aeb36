// A content root on this host: the only way to source bytes. Nothing outside the root can be reached by any path, '..',
// symlink or race.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/beneath.hpp"

namespace zipmodule::storage {

enum class FileType { regular, directory, symlink, other };

// What is known of a file without reading it. Two equal values: the same unchanged file.
struct FileStatus {
  FileType type = FileType::other;
  bool executable = false;  // by its owner
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970-01-01 UTC
  std::int64_t ctime_ns = 0;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;

  bool operator==(const FileStatus&) const = default;
};

// An open regular file. read_at is thread-safe.
class OpenFile {
 public:
  OpenFile(Fd fd, const FileStatus& status, std::string name)
      : fd_(std::move(fd)), status_(status), name_(std::move(name)) {}

  const FileStatus& status() const noexcept { return status_; }  // when it was opened
  // Fewer bytes only at the end. Throws Error{source_unreadable}.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) const;
  // Whether its first bytes can be read without waiting for a disk; true also where the file system can't tell.
  bool in_memory() const noexcept;
  // Has the system begin to read all of it. Does not wait.
  void ask_for() const noexcept;
  // Throws Error{source_changed} where size, times or inode are no longer what they were when it was opened.
  void require_unchanged() const;
  // Whether its last change was long enough ago for every further one to show in its times.
  bool settled() const;

  int fd() const noexcept { return fd_.get(); }  // not to be closed
  const std::string& name() const noexcept { return name_; }

 private:
  Fd fd_;
  FileStatus status_;
  std::string name_;  // "root:path", for messages
};

// What a walk may not exceed, and what it may use.
struct WalkLimits {
  unsigned max_depth = 100;             // folders below each other, the walked one included
  std::uint64_t max_names = 1'000'000;  // held at once, of the folders on the way: no more than there can be entries
  unsigned threads = 3;                 // that read folders ahead, beside the caller; see walk.hpp for the figures
};

// Called by walk for what it finds, in order, by the thread that called it.
class Visitor {
 public:
  virtual ~Visitor() = default;
  // `path` is relative to the walked folder, without a trailing '/'. A directory comes before what is in it.
  virtual void found(const std::string& path, const FileStatus& status) = 0;
  // Something that can't be listed: Error{source_missing} for a dangling symlink or what vanished meanwhile. `path` as
  // above. Throw to end the walk, return to leave it out.
  virtual void problem(const std::string& path, const Error& error) = 0;
};

// Thread-safe after construction. Paths are relative to the root, without a leading '/', '.' or '..' component; symlinks
// are followed as long as they stay below the root. All errors name "root:path":
//   source_missing     nothing there                  source_unreadable  no permission, I/O error, symlink loop
//   source_type        FIFO, socket, device           source_outside     leads out of the root, or into the store
class LocalRoot {
 public:
  // Throws Error{config} if the folder can't be opened. `store`: the archive store, whose files are never sources.
  LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store);

  const std::string& name() const noexcept { return name_; }

  FileStatus status(const std::string& path) const;
  // Never blocks on a FIFO. Throws also Error{source_type} for a directory.
  OpenFile open(const std::string& path) const;
  // Visits everything below the folder `path`, sorted bytewise by full path (a directory as if it ended in '/'), in the
  // same order with any number of threads. Folders may have been read a little before they are found. What becomes a
  // folder, or no folder, while it is listed is a problem: Error{source_changed}.
  // Throws Error{limit}, where there are too many names as soon as they are read, and Error{stopped}.
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop, Visitor& visitor) const;

 private:
  friend class Folder;

  Fd open_path(const std::string& path, int flags) const;
  std::string full_name(const std::string& path) const { return name_ + ":" + path; }
  void require_outside_store(int fd, const std::string& path) const;

  std::string name_;
  std::filesystem::path store_;  // canonical; empty where there is none
  Fd folder_;
  Confinement confinement_ = Confinement::openat2;
};

}  // namespace zipmodule::storage
