#include "base/fd.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"

namespace zipmodule {

void Fd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ssize_t pread_full(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n = ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

bool pwrite_full(int fd, std::span<const std::byte> data, std::uint64_t offset) noexcept {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = ::pwrite(fd, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    done += static_cast<std::size_t>(n);
  }
  return true;
}

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where it may not, the limit stays as it is
}

Fd open_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw store_error(errno, "open directory " + path);
  return fd;
}

void close_or_throw(Fd fd, const std::string& path) {
  // After EINTR the descriptor is closed as well (close(2)).
  if (::close(fd.release()) != 0 && errno != EINTR) throw store_error(errno, "close " + path);
}

void open_standard_descriptors() noexcept {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free one is what open() returns. Without a /dev/null: what can be neither read nor written.
    if (::open("/dev/null", O_RDWR) < 0) ::open("/", O_PATH);
  }
}

void fsync_or_throw(int fd, const std::string& path) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) throw store_error(errno, "sync " + path);
  }
}

}  // namespace zipmodule
