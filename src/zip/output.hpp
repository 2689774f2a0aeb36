// The archive file while many threads write it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "zip/entry.hpp"
#include "zip/format.hpp"

namespace zipmodule::zip {

// Stored data is read, summed and written in steps that stay in a core's cache.
inline constexpr std::size_t k_step_bytes = std::size_t{256} << 10U;

// Whether the file system of a folder can share blocks of k_block_bytes between files: tried in a file without a name. Not in
// the archive itself: ext4 and XFS write back at the close what was truncated before, as if it replaced another file, and
// that takes as long as the archive. Throws nothing.
bool shares_blocks(const std::string& folder);

// Thread-safe. Throws Error{disk_full, store_unwritable, io} naming the archive, unless said otherwise.
class Output {
 public:
  // `fd` is seekable and not owned. `write_back`: what is written is sent to the disk meanwhile, so that the fsync which
  // follows is short; for callers that sync. `most_bytes`: how long the file can become, where blocks are to be shared.
  Output(int fd, std::string path, bool write_back, std::uint64_t most_bytes)
      : fd_(fd), path_(std::move(path)), write_back_(write_back), most_bytes_(most_bytes) {}

  void write(std::span<const std::byte> data, std::uint64_t offset);

  // Copies `bytes` from another file: shares the blocks where both files and their places allow it, else lets the kernel
  // copy, else reads and writes. Returns how many bytes: fewer only where the other file ends. Throws also
  // Error{corrupt} where `from`, which is another archive, can't be read.
  std::uint64_t copy(const FileRange& from, std::uint64_t bytes, std::uint64_t offset);

  // Shares blocks (FICLONERANGE) as far as whole blocks go; returns how many bytes from the beginning, 0 where the places
  // are not aligned or the file systems can't. A pair of file systems that can't is asked once.
  std::uint64_t clone(const FileRange& from, std::uint64_t bytes, std::uint64_t offset);

  std::uint64_t cloned_bytes() const noexcept { return cloned_bytes_; }

  // Whether the file was made as long as it can become: what is too much is for the caller to cut off.
  bool extended() const noexcept { return extended_; }

 private:
  std::uint64_t copy_bytes(const FileRange& from, std::uint64_t bytes, std::uint64_t offset);
  std::optional<std::uint64_t> copy_in_kernel(const FileRange& from, std::uint64_t bytes, std::uint64_t offset);
  void wrote(std::uint64_t bytes);
  void extend() noexcept;
  std::optional<dev_t> cloneable_device(int fd);

  const int fd_;
  const std::string path_;
  const bool write_back_;
  const std::uint64_t most_bytes_;

  std::mutex writing_;  // held while much is written; guards nothing
  std::atomic<std::uint64_t> written_bytes_{0};
  std::atomic<std::uint64_t> cloned_bytes_{0};
  std::atomic<bool> kernel_copies_{true};
  std::once_flag first_clone_;
  std::atomic<bool> extended_{false};
  std::mutex mutex_;
  std::set<dev_t> not_cloneable_;  // guarded by mutex_: devices that share no blocks with this file
};

}  // namespace zipmodule::zip
