#include "storage/file_status.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <limits>

namespace zipmodule::storage {
namespace {

// 64 bits hold 1678 to 2262; XFS and ext4 know later years, which become the last nanosecond instead of wrapping
// around.
std::int64_t nanoseconds(const timespec& time) noexcept {
  constexpr std::int64_t k_second = 1'000'000'000;
  constexpr std::int64_t k_most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t seconds = time.tv_sec;
  if (seconds >= k_most / k_second) return k_most;
  if (seconds <= -(k_most / k_second)) return -k_most;
  return seconds * k_second + time.tv_nsec;
}

FileType type_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return FileType::regular;
  if (S_ISDIR(mode)) return FileType::directory;
  if (S_ISLNK(mode)) return FileType::symlink;
  return FileType::other;
}

}  // namespace

FileStatus to_status(const struct stat& s) noexcept {
  FileStatus status;
  status.type = type_of(s.st_mode);
  status.executable = (s.st_mode & S_IXUSR) != 0;
  status.size_bytes = static_cast<std::uint64_t>(s.st_size);
  status.mtime_ns = nanoseconds(s.st_mtim);
  status.version.file = mixed(s.st_dev, s.st_ino);
  status.version.state = mixed(mixed(status.size_bytes, static_cast<std::uint64_t>(status.mtime_ns)),
                               static_cast<std::uint64_t>(nanoseconds(s.st_ctim)));
  return status;
}

std::int64_t changed_ns(const struct stat& s) noexcept { return nanoseconds(s.st_ctim); }

Error source_error(int error_number, const std::string& name) {
  const std::string message = fmt::format("source {}: {}", name, errno_text(error_number));
  if (auto error = descriptors_error(error_number, fmt::format("source {}", name))) return *error;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return {ErrorKind::source_missing, message, "put it there, or publish a list without it"};
    case EXDEV:
      return {ErrorKind::source_outside, fmt::format("source {} leads outside its content root", name),
              "replace the symlink by the content, or name the root where the content is"};
    case ENOTCONN:
    case ESTALE:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
      return {ErrorKind::root_away, message, "look whether its file system is mounted and its host is up"};
    case ENXIO:
    case ENODEV:
      return {ErrorKind::source_type, fmt::format("source {} is a socket or device, not a file", name)};
    default:
      return {ErrorKind::source_unreadable, message, "give the user that runs zipmodule the right to read it"};
  }
}

Error wrong_type(const std::string& name) {
  return {ErrorKind::source_type, fmt::format("source {} is neither a regular file nor a folder", name),
          "FIFOs, sockets and devices can't be archived"};
}

Error changed(const std::string& name) {
  return {ErrorKind::source_changed, fmt::format("source {} changed while it was read", name),
          "publish when its writer is finished"};
}

}  // namespace zipmodule::storage
