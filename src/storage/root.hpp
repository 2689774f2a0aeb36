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

#include "base/error.hpp"
#include "base/fetchers.hpp"

namespace zipmodule::storage {

enum class FileType { regular, directory, symlink, other };

// What is known of a file without reading it. Two equal values: the same unchanged file.
struct FileStatus {
  FileType type = FileType::other;
  bool executable = false;  // by its owner
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970-01-01 UTC
  // When the file changed last, in ns as above: what recognises it later only if that was some time ago. Where a root has no
  // such time of its own, its modification time.
  std::int64_t ctime_ns = 0;
  std::uint64_t inode = 0;   // or another number that tells the root's files apart
  std::uint64_t device = 0;  // or another number that tells roots apart

  bool operator==(const FileStatus&) const = default;
};

// Whether both are the same version of the same file.
bool same_version(const FileStatus& a, const FileStatus& b) noexcept;

// An open regular file. Thread-safe.
class File {
 public:
  explicit File(std::string name) : name_(std::move(name)) {}
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
  // Whether its last change was long enough ago for every further one to show in its times.
  virtual bool settled() const { return false; }
  // Whether its first bytes can be read without waiting for a disk; true also where nobody can tell.
  virtual bool in_memory() const noexcept { return true; }
  // Has the system begin to read all of it. Does not wait.
  virtual void ask_for() const noexcept {}

 private:
  const std::string name_;
};

// What a walk may not exceed, and what it may use.
struct WalkLimits {
  unsigned max_depth = 100;             // folders below each other, the walked one included
  std::uint64_t max_names = 1'000'000;  // held at once, of the folders on the way: no more than there can be entries
  unsigned threads = 3;                 // that read folders ahead, beside the caller
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

  // Calls that may wait for another host, those of a file that is opened with `stop` included, throw Error{stopped} when it
  // is requested.
  virtual FileStatus status(const std::string& path, const std::stop_token& stop) const = 0;

  // The same, begun at once where it means waiting for another host, and when it is asked for where not. For who knows what he
  // will ask for next.
  virtual std::future<FileStatus> look_up(const std::string& path, const std::stop_token& stop) const {
    return std::async(std::launch::deferred, [this, path, stop] { return status(path, stop); });
  }

  // Opens the version that `listed` tells of. Throws Error{source_changed} where it is another one by now; a root that
  // can't tell without another round trip leaves that to File::require_unchanged().
  virtual std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                                     const std::stop_token& stop) const = 0;

  // Visits everything below the folder `path`, sorted bytewise by full path (a directory as if it ended in '/'). Folders may
  // have been read a little before they are found. What becomes a folder, or no folder, while it is listed is a problem:
  // Error{source_changed}. Throws Error{limit}, where there are too many names as soon as they are read, and Error{stopped}.
  virtual void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                    Visitor& visitor) const = 0;

  // The path below the root that a URL names (sftp://host/..., s3://bucket/..., https://host/...); nullopt where it lies
  // elsewhere. Nobody is asked.
  virtual std::optional<std::string> path_of(const std::string& /*url*/) const { return std::nullopt; }

  // Who waits for the bytes of its files; null where whoever needs them reads them.
  virtual Fetchers* fetchers() const noexcept { return nullptr; }

 private:
  const std::string name_;
};

}  // namespace zipmodule::storage
