#include "storage/beneath.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace zipmodule::storage {
namespace {

int by_openat2(int directory, const char* path, int flags, std::uint64_t resolve) noexcept {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: a rename elsewhere raced with a '..' of a symlink; the kernel asks to try again (openat2(2)).
  constexpr int k_tries = 100;
  for (int i = 0; i < k_tries; ++i) {
    const auto fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
  }
  return -1;
}

// openat of one component, that fails with ELOOP for every symlink: O_PATH would open the link itself, and O_DIRECTORY
// say ENOTDIR.
int open_no_symlink(int at, const std::string& component, int flags) noexcept {
  Fd fd(::openat(at, component.c_str(), flags | O_CLOEXEC | O_NOFOLLOW));
  const int saved = errno;
  const bool in_doubt = fd ? (flags & O_PATH) != 0 : saved == ENOTDIR;
  struct stat s {};
  if (in_doubt && ::fstatat(at, component.c_str(), &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(s.st_mode)) {
    errno = ELOOP;
    return -1;
  }
  errno = saved;
  return fd.release();
}

int by_components(int directory, std::string_view path, int flags) noexcept {
  Fd step;
  int at = directory;
  for (;;) {
    const auto slash = path.find('/');
    const std::string component(path.substr(0, slash));
    if (component == "..") {
      errno = EXDEV;
      return -1;
    }
    const bool last = slash == std::string_view::npos;
    const int step_flags = last ? flags : O_PATH | O_DIRECTORY;
    const int fd = open_no_symlink(at, component, step_flags);
    if (fd < 0 || last) return fd;
    step = Fd(fd);
    at = fd;
    path.remove_prefix(slash + 1);
  }
}

// What of an absolute path lies below the directory; nullopt where it does not lead there.
std::optional<std::string> below_directory(int directory, const std::string& path) {
  struct stat top {};
  if (::fstat(directory, &top) != 0) return std::nullopt;
  for (std::size_t end = 0; end <= path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    struct stat s {};
    if (::stat(path.substr(0, end).c_str(), &s) != 0) return std::nullopt;
    if (s.st_dev == top.st_dev && s.st_ino == top.st_ino) return path.substr(end);
    if (end == path.size()) break;
  }
  return std::nullopt;
}

std::optional<std::string> target_of(int link) {
  std::array<char, PATH_MAX> text;
  const auto n = ::readlinkat(link, "", text.data(), text.size());
  if (n <= 0 || static_cast<std::size_t>(n) == text.size()) return std::nullopt;
  return std::string(text.data(), static_cast<std::size_t>(n));
}

// Follows the symlinks of a path, one component after the other, as the kernel would if the directory stood where it
// stands.
class Resolution {
 public:
  explicit Resolution(int directory) : directory_(directory) {}

  // The path without symlinks; nullopt with errno where it leads out (EXDEV), or on and on (ELOOP).
  std::optional<std::string> run(const std::string& path) {
    append(path);
    while (!pending_.empty()) {
      const std::string component = std::move(pending_.front());
      pending_.pop_front();
      const int problem = step(component);
      if (problem == 0) continue;
      errno = problem;
      return std::nullopt;
    }
    std::string result = ".";
    for (const std::string& component : done_) result += '/' + component;
    return result;
  }

 private:
  // In front of what is left.
  void append(std::string_view path) {
    std::vector<std::string> components;
    while (!path.empty()) {
      const auto slash = std::min(path.find('/'), path.size());
      if (slash > 0) components.emplace_back(path.substr(0, slash));
      path.remove_prefix(std::min(slash + 1, path.size()));
    }
    pending_.insert(pending_.begin(), components.begin(), components.end());
  }

  // Returns an errno, or 0.
  int step(const std::string& component) {
    if (component == ".") return 0;
    if (component == "..") {
      if (done_.empty()) return EXDEV;
      done_.pop_back();
      return 0;
    }
    done_.push_back(component);
    std::string path = ".";
    for (const std::string& one : done_) path += '/' + one;
    const Fd fd(by_openat2(directory_, path.c_str(), O_PATH | O_NOFOLLOW, RESOLVE_BENEATH));
    struct stat s {};
    // What is missing is said to be so by the open that follows.
    if (!fd || ::fstat(fd.get(), &s) != 0 || !S_ISLNK(s.st_mode)) return 0;
    done_.pop_back();
    constexpr int k_links_most = 40;  // as path_resolution(7)
    if (++links_ > k_links_most) return ELOOP;
    auto target = target_of(fd.get());
    if (!target) return EXDEV;
    if (target->starts_with('/')) {
      target = below_directory(directory_, *target);
      if (!target) return EXDEV;
      done_.clear();
    }
    append(*target);
    return 0;
  }

  const int directory_;
  std::deque<std::string> pending_;
  std::vector<std::string> done_;  // without symlinks
  int links_ = 0;
};

}  // namespace

Confinement probe_confinement(int directory) noexcept {
  const Fd fd(by_openat2(directory, ".", O_PATH | O_DIRECTORY, RESOLVE_BENEATH));
  // ENOSYS: an old kernel. EPERM: sandboxes that don't know the call.
  const bool missing = !fd && (errno == ENOSYS || errno == EPERM);
  if (missing) return Confinement::components;
  struct stat here {};
  struct stat top {};
  const bool is_top = ::fstat(directory, &here) == 0 && ::stat("/", &top) == 0 && here.st_dev == top.st_dev &&
                      here.st_ino == top.st_ino;
  return is_top ? Confinement::whole_host : Confinement::openat2;
}

int open_beneath(int directory, const std::string& path, int flags, Confinement confinement) {
  if (confinement == Confinement::components) return by_components(directory, path, flags);
  if (confinement == Confinement::whole_host) return by_openat2(directory, path.c_str(), flags, RESOLVE_IN_ROOT);
  const int fd = by_openat2(directory, path.c_str(), flags, RESOLVE_BENEATH);
  if (fd >= 0 || errno != EXDEV || path.starts_with('/')) return fd;
  // The kernel refuses every absolute symlink. What is found here is a guess, for others may change links meanwhile:
  // the path without links that it says is opened as any other.
  const auto resolved = Resolution(directory).run(path);
  if (!resolved) return -1;
  return by_openat2(directory, resolved->c_str(), flags, RESOLVE_BENEATH);
}

}  // namespace zipmodule::storage
