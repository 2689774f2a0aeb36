// How far the times of files on a file system can be trusted. Private to src/storage.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace zipmodule::storage {

enum class FileSystem {
  disk,     // every write moves the times, once changed pages have been written back
  stacked,  // overlayfs: the same, but the pages are those of a file below
  network,  // another host's, or a program's: this host may keep a copy of the status. Unknown ones, too
  memory,   // tmpfs, proc: writes through a mapping never move the times
  image,    // read only, with the times of its making: another image may hold other content of the same times
};

// Of an open file or folder.
FileSystem file_system_of(int fd) noexcept;

// The same, asked once for each device. Thread-safe.
class FileSystems {
 public:
  FileSystem of(int fd, dev_t device) const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<dev_t, FileSystem>> known_;  // guarded by mutex_
};

// As fstatat(2). On a network file system its host is asked, whatever this one remembers.
int status_at(FileSystem file_system, int directory, const char* name, int flags, struct stat& to) noexcept;

// Whether a change at `changed_ns` (since 1970) is past, so that the next one has another time. Waits where that takes
// no more than a tick of the kernel's clock.
bool is_past(FileSystem file_system, std::int64_t changed_ns) noexcept;

// Has the changed pages of an open file written to the disk, and returns whether that works there. A page that is
// written through a mapping moves the file's times only the first time after that (mmap(2)). Ask is_past before.
bool write_back(FileSystem file_system, int fd) noexcept;

}  // namespace zipmodule::storage
