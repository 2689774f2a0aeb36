#include "zip/output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"

namespace zipmodule::zip {
namespace {

// Writes from this size on go to the file one after the other. ext4 and XFS let one thread at a time write to a file, and
// the others spin: of 2 GB stored by two threads that was a quarter of all CPU time (1.63 s, 1.14 s with a mutex to sleep
// on). Small writes are over before a thread could sleep: 8 % slower with it.
constexpr std::size_t k_write_alone_from = std::size_t{64} << 10U;
constexpr std::uint64_t k_write_back_every = std::uint64_t{32} << 20U;
// Fewer shared blocks cost more than they save: each is an extent of its own in both files' trees.
constexpr std::uint64_t k_clone_from = std::uint64_t{64} << 10U;

// errno values that tell of the pair of file systems, not of this range.
bool says_never(int error) noexcept {
  return error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == ENOSYS || error == EPERM;
}

}  // namespace

bool shares_blocks(const std::string& folder) {
  const auto says_no = [&](const char* what) {
    log::debug("{}: no shared blocks: {}: {}", folder, what, errno_text(errno));
    return false;
  };
  const Fd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) return says_no("a file without a name");
  const std::vector<std::byte> block(k_block_bytes);
  if (!pwrite_full(fd.get(), block, 0)) return says_no("write");
  file_clone_range range{};
  range.src_fd = fd.get();
  range.src_length = k_block_bytes;
  range.dest_offset = k_block_bytes;
  return ::ioctl(fd.get(), FICLONERANGE, &range) == 0 || says_no("share");
}

void Output::wrote(std::uint64_t bytes) {
  if (!write_back_) return;
  const std::uint64_t before = written_bytes_.fetch_add(bytes);
  if (before / k_write_back_every == (before + bytes) / k_write_back_every) return;
  ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);  // only a hint: the fsync reports what goes wrong
}

void Output::write(std::span<const std::byte> data, std::uint64_t offset) {
  std::unique_lock lock(writing_, std::defer_lock);
  if (data.size() >= k_write_alone_from) lock.lock();
  if (!pwrite_full(fd_, data, offset)) throw store_error(errno, "write " + path_);
  if (lock.owns_lock()) lock.unlock();
  wrote(data.size());
}

std::optional<dev_t> Output::cloneable_device(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (not_cloneable_.contains(status.st_dev)) return std::nullopt;
  return status.st_dev;
}

// XFS makes the file longer for a range behind its end, and waits for the disk to do so, at every file. Takes no space. Not
// before something was shared: XFS writes back at the close what was cut shorter. Where a limit forbids such a size the
// archive itself may fit.
void Output::extend() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < most_bytes_) return;
  extended_ = ::ftruncate(fd_, static_cast<off_t>(most_bytes_)) == 0;
  if (!extended_) log::debug("the archive is not extended: {}", errno_text(errno));
}

std::uint64_t Output::clone(const FileRange& from, std::uint64_t bytes, std::uint64_t offset) {
  if (from.offset % k_block_bytes != 0 || offset % k_block_bytes != 0 || bytes < k_clone_from) return 0;
  const auto device = cloneable_device(from.fd);
  if (!device) return 0;
  file_clone_range range{};
  range.src_fd = from.fd;
  range.src_offset = from.offset;
  range.src_length = bytes - bytes % k_block_bytes;
  range.dest_offset = offset;
  if (::ioctl(fd_, FICLONERANGE, &range) == 0) {
    cloned_bytes_ += range.src_length;
    if (most_bytes_ > 0) std::call_once(first_clone_, [this] { extend(); });
    return range.src_length;
  }
  const int error = errno;
  if (says_never(error)) {
    std::lock_guard lock(mutex_);
    if (not_cloneable_.insert(*device).second) {
      log::debug("{}: no shared blocks with {}: {}", path_, from.path, errno_text(error));
    }
  }
  return 0;
}

std::uint64_t Output::copy(const FileRange& from, std::uint64_t bytes, std::uint64_t offset) {
  const std::uint64_t lead = std::min(bytes, (k_block_bytes - offset % k_block_bytes) % k_block_bytes);
  const std::uint64_t shared = clone({from.fd, from.offset + lead, from.path}, bytes - lead, offset + lead);
  if (shared == 0) return copy_bytes(from, bytes, offset);
  const std::uint64_t copied = copy_bytes(from, lead, offset);
  if (copied < lead) return copied;
  const std::uint64_t done = lead + shared;
  return done + copy_bytes({from.fd, from.offset + done, from.path}, bytes - done, offset + done);
}

std::optional<std::uint64_t> Output::copy_in_kernel(const FileRange& from, std::uint64_t bytes, std::uint64_t offset) {
  auto in = static_cast<off_t>(from.offset);
  auto out = static_cast<off_t>(offset);
  std::uint64_t copied = 0;
  std::lock_guard lock(writing_);
  while (copied < bytes) {
    const ssize_t n = ::copy_file_range(from.fd, &in, fd_, &out, bytes - copied, 0);
    // The end of the file, or a file system that says so where there is data: reading tells which.
    if (n == 0) {
      if (kernel_copies_.exchange(false)) log::debug("{}: copy_file_range copied nothing of {}", path_, from.path);
      return std::nullopt;
    }
    if (n > 0) {
      copied += static_cast<std::uint64_t>(n);
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) throw store_error(error, "write " + path_);
    if (says_never(error) || error == EINVAL) {
      if (kernel_copies_.exchange(false)) log::debug("{}: no copy_file_range: {}", path_, errno_text(error));
    }
    return std::nullopt;  // whatever it was: reading and writing tells on which side
  }
  return copied;
}

std::uint64_t Output::copy_bytes(const FileRange& from, std::uint64_t bytes, std::uint64_t offset) {
  if (bytes == 0) return 0;
  if (kernel_copies_ && bytes >= k_write_alone_from) {
    if (const auto copied = copy_in_kernel(from, bytes, offset)) {
      wrote(*copied);
      return *copied;
    }
  }
  thread_local std::vector<std::byte> buffer(k_step_bytes);
  std::uint64_t copied = 0;
  while (copied < bytes) {
    const auto step = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes - copied));
    const ssize_t n = pread_full(from.fd, step, from.offset + copied);
    if (n < 0) throw Error(ErrorKind::corrupt, fmt::format("read {}: {}", from.path, errno_text(errno)));
    if (n == 0) break;
    write(step.first(static_cast<std::size_t>(n)), offset + copied);
    copied += static_cast<std::uint64_t>(n);
  }
  return copied;
}

}  // namespace zipmodule::zip
