#include "storage/mounts.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <string_view>

namespace zipmodule::storage {

bool is_mount_point(int folder) noexcept {
  struct stat here {};
  struct stat above {};
  return ::fstat(folder, &here) == 0 && ::fstatat(folder, "..", &above, 0) == 0 && here.st_dev != above.st_dev;
}

namespace {

struct Close {
  void operator()(DIR* p) const noexcept { ::closedir(p); }
};

// Null where it can't be listed.
std::unique_ptr<DIR, Close> open_folder(int folder) noexcept {
  Fd fd(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return std::unique_ptr<DIR, Close>(fd ? ::fdopendir(fd.release()) : nullptr);
}

}  // namespace

bool is_empty_folder(int folder) noexcept {
  const auto directory = open_folder(folder);
  if (!directory) return false;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") return false;
  }
  return true;
}

void list_all(int folder) noexcept {
  const auto directory = open_folder(folder);
  while (directory && ::readdir(directory.get()) != nullptr) continue;
}

bool Paths::add(const std::string& path) {
  std::lock_guard lock(mutex_);
  return paths_.insert(path).second;
}

std::vector<std::string> Paths::all() const {
  std::lock_guard lock(mutex_);
  return {paths_.begin(), paths_.end()};
}

}  // namespace zipmodule::storage
