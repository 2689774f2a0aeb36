#include "archive/failing_read.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <string>
#include <string_view>

#include "support/catch.hpp"

namespace {

std::atomic<ino_t> failing_inode{0};
std::atomic<std::uint64_t> failing_from{0};
std::atomic<bool> failing_closes{false};
std::string failing_folder;  // constant while failing_closes

}  // namespace

// In the place of the C library's.
extern "C" ssize_t pread(int fd, void* buffer, size_t bytes, off_t offset) {
  struct stat s {};
  if (failing_inode != 0 && ::fstat(fd, &s) == 0 && s.st_ino == failing_inode &&
      static_cast<std::uint64_t>(offset) + bytes > failing_from) {
    errno = EIO;
    return -1;
  }
  return ::syscall(SYS_pread64, fd, buffer, bytes, offset);
}

// The kernel's own copies are left to pread, so that they fail alike.
extern "C" ssize_t copy_file_range(int in, off64_t* in_at, int out, off64_t* out_at, size_t bytes, unsigned flags) {
  if (failing_inode != 0) {
    errno = EIO;
    return -1;
  }
  return ::syscall(SYS_copy_file_range, in, in_at, out, out_at, bytes, flags);
}

// The descriptor is closed all the same, as the kernel does.
extern "C" int close(int fd) {
  bool fails = false;
  if (failing_closes) {
    std::array<char, PATH_MAX> path{};
    const auto bytes = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
    struct stat s {};
    fails = bytes > 0 && std::string_view(path.data(), static_cast<std::size_t>(bytes)).starts_with(failing_folder) &&
            ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
  }
  const auto closed = static_cast<int>(::syscall(SYS_close, fd));
  if (!fails || closed != 0) return closed;
  errno = ENOSPC;
  return -1;
}

namespace zipmodule::test {

FailingCloses::FailingCloses(const std::filesystem::path& folder) {
  failing_folder = std::filesystem::canonical(folder).string() + "/";
  failing_closes = true;
}

FailingCloses::~FailingCloses() { failing_closes = false; }

FailingReads::FailingReads(const std::filesystem::path& file, std::uint64_t from) {
  struct stat s {};
  REQUIRE(::stat(file.c_str(), &s) == 0);
  failing_from = from;
  failing_inode = s.st_ino;
}

FailingReads::~FailingReads() { failing_inode = 0; }

}  // namespace zipmodule::test
