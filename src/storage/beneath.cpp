#include "storage/beneath.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>

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

int open_beneath(int directory, const std::string& path, int flags, Confinement confinement) noexcept {
  if (confinement == Confinement::components) return by_components(directory, path, flags);
  const bool beneath = confinement == Confinement::openat2;
  return by_openat2(directory, path.c_str(), flags, beneath ? RESOLVE_BENEATH : RESOLVE_IN_ROOT);
}

}  // namespace zipmodule::storage
