// A content root: the only way to source bytes. Nothing outside the root can be reached by a path.
//
// One interface for all places where content lies:
//   LocalRoot   a folder of this host        (local_root.hpp)
//   SftpRoot    a folder of another host     (sftp_root.hpp)
//   HttpsRoot   files of a web server        (https_root.hpp)
//   S3Root      objects of a bucket          (s3_root.hpp)
//
// What differs is told by values: a file's place on this host (File::fd), who waits for its bytes (Root::fetchers).
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/fetchers.hpp"
#include "storage/exclusion.hpp"
#include "storage/version.hpp"

namespace zipmodule::storage {

enum class FileType { regular, directory, symlink, other };

// What is known of a file without reading it.
struct FileStatus {
  FileType type = FileType::other;
  bool executable = false;  // by its owner
  // Whether every later change makes another version, as far as the root knows without opening the file. A root whose
  // files say so when they are open (File::settled) leaves it false.
  bool settled = false;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970-01-01 UTC
  Version version;
};

// An open regular file. Thread-safe.
class File {
 public:
  explicit File(std::string name, bool settled = false) : name_(std::move(name)), settled_(settled) {}
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& name() const noexcept { return name_; }  // "root:path", for messages

  // Fewer bytes only at the end. Throws Error{source_...}.
  virtual std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) = 0;
  // Throws Error{source_changed} where it is no longer the version that was opened.
  virtual void require_unchanged() = 0;

  // Its descriptor on this host, not to be closed; -1 where it is not a file of this host.
  virtual int fd() const noexcept { return -1; }
  // Whether every change from now on makes another version: only then its version may be recorded, and its blocks
  // shared. Asked before its first byte is read. May write the file's changed pages back, and wait for a tick of the
  // clock.
  virtual bool settled() const { return settled_; }
  // Whether its first bytes can be read without waiting for a disk; true also where nobody can tell.
  virtual bool in_memory() const noexcept { return true; }
  // Has the system begin to read all of it. Does not wait.
  virtual void ask_for() const noexcept {}

 private:
  const std::string name_;
  const bool settled_;
};

// What a walk may not exceed, and what it may use.
struct WalkLimits {
  unsigned max_depth = 100;             // folders below each other, the walked one included
  std::uint64_t max_names = 1'000'000;  // held at once, of the folders on the way: no more than there can be entries;
                                        // bounds the bytes of names and paths, too (walk_frame.cpp)
  unsigned threads = 3;                 // that read folders ahead, beside the caller
  const Exclusion* exclude =
      nullptr;  // asked of every name, before a folder is entered or anything found; null: nothing is
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
  // So many names were excluded: files, and folders with what is in them as one.
  virtual void left_out(std::uint64_t /*names*/) {}
};

// Thread-safe after construction. Paths are relative to the root, without a leading '/', '.' or '..' component; symlinks
// are followed as long as they stay below the root. All errors name "root:path":
//   root_away          its disk, or one below it, is not there now
//   source_missing     nothing there                  source_unreadable    no permission, I/O error, symlink loop
//   source_type        FIFO, socket, device           source_outside       leads out of the root, or into the store
//   source_changed     another version than before    source_unreachable   its host does not answer, or refuses us
class Root {
 public:
  explicit Root(std::string name) : name_(std::move(name)) {}
  virtual ~Root() = default;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::string full_name(const std::string& path) const { return name_ + ":" + path; }

  // Calls that may wait for another host, those of a file that is opened with `stop` included, throw Error{stopped}
  // when it is requested.
  virtual FileStatus status(const std::string& path, const std::stop_token& stop) const = 0;

  // The same, begun at once where it means waiting for another host, and when it is asked for where not. For who knows
  // what he will ask for next.
  virtual std::future<FileStatus> look_up(const std::string& path, const std::stop_token& stop) const {
    return std::async(std::launch::deferred, [this, path, stop] { return status(path, stop); });
  }

  // Opens the version that `listed` tells of. Throws Error{source_changed} where it is another one by now; a root that
  // can't tell without another round trip leaves that to File::require_unchanged().
  virtual std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                                     const std::stop_token& stop) const = 0;

  // Visits everything below the folder `path`, sorted bytewise by full path (a directory as if it ended in '/').
  // Folders may have been read a little before they are found. What becomes a folder, or no folder, while it is listed
  // is a problem: Error{source_changed}. Throws Error{limit}, where there are too many names as soon as they are read,
  // and Error{stopped}.
  virtual void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                    Visitor& visitor) const = 0;

  // What is called how in a folder, in any order, up to so many: for hints about what is missing. Empty where the
  // folder can't be read, and where that would mean another round trip.
  virtual std::vector<std::string> names(const std::string& /*folder*/, std::size_t /*most*/) const { return {}; }

  // The path below the root that a URL names (sftp://host/..., s3://bucket/..., https://host/...); nullopt where it
  // lies elsewhere. Nobody is asked.
  virtual std::optional<std::string> path_of(const std::string& /*url*/) const { return std::nullopt; }

  // The folders below it that other file systems are mounted on, itself ("") included, as far as it came across them.
  virtual std::vector<std::string> mounts() const { return {}; }
  // For such a folder of an earlier root of this name, before anything is looked up. Throws Error{root_away} where the
  // folder is empty now, or is the root and no mount point any more; where it is gone, if `listed`: a source lies in
  // it.
  virtual void require_mounted(const std::string& /*path*/, bool /*listed*/) const {}

  // Who waits for the bytes of its files; null where whoever needs them reads them.
  virtual Fetchers* fetchers() const noexcept { return nullptr; }

 private:
  const std::string name_;
};

}  // namespace zipmodule::storage
