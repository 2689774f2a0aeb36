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

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) {
    throw Error(ErrorKind::config, fmt::format("open lock file {}: {}", path.string(), errno_text(errno)),
                "create its folder; remove the file if a run as another user left it; or set run.lock_file to a place "
                "this user may write");
  }
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    if (errno == EINTR) continue;
    throw Error(ErrorKind::config, fmt::format("lock {}: {}", path.string(), errno_text(errno)),
                "set run.lock_file to a local file system");
  }
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
