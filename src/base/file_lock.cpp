#include "base/file_lock.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>

#include "base/error.hpp"

namespace zipmodule {

namespace {

constexpr mode_t k_mode = 0600;

Error open_error(const std::filesystem::path& path, int error) {
  return {ErrorKind::config, fmt::format("open lock file {}: {}", path.string(), errno_text(error)),
          "create its folder; remove the file if a run as another user left it; or set run.lock_file to a place "
          "this user may write"};
}

// The process that holds a lock of this file, as the kernel lists them: "1: FLOCK  ADVISORY  WRITE 123 08:01:456 0
// EOF".
std::optional<long> locking_process(const struct stat& s) {
  const std::string file = fmt::format("{:02x}:{:02x}:{}", major(s.st_dev), minor(s.st_dev), s.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, access, place;
    long pid = 0;
    if (words >> number >> kind >> advisory >> access >> pid >> place && kind == "FLOCK" && place == file && pid > 0)
      return pid;
  }
  return std::nullopt;
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
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, k_mode));
  if (!fd) throw open_error(path, errno);
  // Who can open it can hold it: an older zipmodule let everybody.
  struct stat s {};
  if (::fstat(fd.get(), &s) == 0 && (s.st_mode & 0777U) != k_mode && s.st_uid == ::geteuid())
    ::fchmod(fd.get(), k_mode);
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
  std::string note;
  std::getline(std::ifstream(path) >> std::ws, note);
  struct stat s {};
  const auto pid = ::stat(path.c_str(), &s) == 0 ? locking_process(s) : std::nullopt;
  if (!pid) return note.empty() ? "an unknown process" : note;
  if (note.starts_with(fmt::format("pid {} ", *pid))) return note;
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", *pid)), name);
  struct stat owner {};
  const bool owned = ::stat(fmt::format("/proc/{}", *pid).c_str(), &owner) == 0;
  return fmt::format("pid {}{}{}, which is no run of zipmodule", *pid, name.empty() ? "" : fmt::format(" ({})", name),
                     owned ? fmt::format(" of user {}", owner.st_uid) : "");
}

std::optional<std::chrono::seconds> FileLock::held_for(const std::filesystem::path& path) {
  struct stat s {};
  // The note is written when the lock is taken.
  if (::stat(path.c_str(), &s) != 0) return std::nullopt;
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return std::chrono::seconds(std::max<std::int64_t>(0, now - s.st_mtim.tv_sec));
}

}  // namespace zipmodule
