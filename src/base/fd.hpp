// An owned file descriptor, and the loops that plain system calls need around them.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace zipmodule {

// Owns one descriptor; closes it in the destructor, where errors can't be reported: what writes calls fsync first.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

// Reads up to buffer.size() bytes at `offset`; fewer only at the end of the file. Returns the count, or -1 with errno.
ssize_t pread_full(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept;

// Writes all of `data` at `offset`, over short writes and EINTR. Returns false with errno set.
bool pwrite_full(int fd, std::span<const std::byte> data, std::uint64_t offset) noexcept;

// Raises this process's limit of open files as far as it may (RLIMIT_NOFILE, from the soft to the hard one). Nothing
// here calls select(), which is what the low soft limit is for.
void raise_descriptor_limit() noexcept;

// Opens a directory for *at() calls and fsync. Throws Error{io or store_unwritable} naming `path`.
Fd open_directory(const std::string& path);

// Closes it: network file systems and quotas report then that what was written has no room. Throws the store_error for
// `path`.
void close_or_throw(Fd fd, const std::string& path);

// Opens each of the descriptors 0 to 2 that is closed on /dev/null. Or the next file to be opened would be one of them,
// and get what is printed. To be called before anything is opened.
void open_standard_descriptors() noexcept;

// fsync by descriptor; throws the store_error for `path`.
void fsync_or_throw(int fd, const std::string& path);

}  // namespace zipmodule
