#include "base/file_lock.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>

#include "base/error.hpp"

namespace zipmodule {

namespace {

Error open_error(const std::filesystem::path& path, int error) {
  return {ErrorKind::config, fmt::format("open lock file {}: {}", path.string(), errno_text(error)),
          "create its folder; remove the file if a run as another user left it; or set run.lock_file to a place "
          "this user may write"};
}

// False where another process holds it.
bool lock_now(const Fd& fd, const std::filesystem::path& path, int kind) {
  while (::flock(fd.get(), kind | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno == EINTR) continue;
    throw Error(ErrorKind::config, fmt::format("lock {}: {}", path.string(), errno_text(errno)),
                "set run.lock_file to a local file system");
  }
  return true;
}

}  // namespace

FileLock::State FileLock::probe(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    const int error = errno;
    if (error != ENOENT) throw open_error(path, error);
    if (::access(path.parent_path().c_str(), W_OK | X_OK) != 0) throw open_error(path, errno);
    return State::absent;
  }
  return lock_now(fd, path, LOCK_SH) ? State::free : State::held;
}

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) throw open_error(path, errno);
  if (!lock_now(fd, path, LOCK_EX)) return std::nullopt;
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::string note = fmt::format("pid {} since {:%Y-%m-%dT%H:%M:%SZ}\n", ::getpid(),
                                       fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  // Truncated only after writing would leave the tail of a longer, older note; a reader may see either.
  if (::ftruncate(fd.get(), 0) != 0 || !pwrite_full(fd.get(), std::as_bytes(std::span(note)), 0)) {
    throw Error(ErrorKind::config, fmt::format("write lock file {}: {}", path.string(), errno_text(errno)),
                "free space on its file system, or set run.lock_file elsewhere");
  }
  return FileLock(std::move(fd));
}

std::string FileLock::holder(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line.empty()) return "an unknown process";
  return line;
}

}  // namespace zipmodule
