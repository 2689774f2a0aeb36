#include "archive/failing_read.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "support/catch.hpp"

namespace {

std::atomic<ino_t> failing_inode{0};
std::atomic<std::uint64_t> failing_from{0};

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

namespace zipmodule::test {

FailingReads::FailingReads(const std::filesystem::path& file, std::uint64_t from) {
  struct stat s {};
  REQUIRE(::stat(file.c_str(), &s) == 0);
  failing_from = from;
  failing_inode = s.st_ino;
}

FailingReads::~FailingReads() { failing_inode = 0; }

}  // namespace zipmodule::test
