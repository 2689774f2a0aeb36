#include "storage/store_folders.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <optional>
#include <string_view>

#include "base/fd.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;

// So many parents are remembered, at most.
constexpr std::size_t k_parents_most = 10'000;

struct Found {
  std::pair<dev_t, ino_t> identity;
  std::uint64_t mount = 0;
};

std::optional<Found> find(int at, const char* path, int flags) {
  struct statx s {};
  if (::statx(at, path, flags, STATX_TYPE | STATX_INO | STATX_MNT_ID, &s) != 0) return std::nullopt;
  return Found{{makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino}, s.stx_mnt_id};
}

// "." where it is there, and the folders in it.
std::vector<std::pair<dev_t, ino_t>> folders_of(const fs::path& folder) {
  std::vector<std::pair<dev_t, ino_t>> result;
  if (const auto found = find(AT_FDCWD, folder.c_str(), 0)) result.push_back(found->identity);
  std::error_code unreadable;
  for (const auto& child : fs::directory_iterator(folder, unreadable)) {
    std::error_code gone;
    if (!child.is_directory(gone)) continue;
    if (const auto found = find(AT_FDCWD, child.path().c_str(), 0)) result.push_back(found->identity);
  }
  return result;
}

bool contains(const std::vector<std::pair<dev_t, ino_t>>& list, const std::pair<dev_t, ino_t>& folder) {
  return std::find(list.begin(), list.end(), folder) != list.end();
}

}  // namespace

StoreFolders::StoreFolders(const fs::path& store) {
  if (store.empty()) return;
  const auto found = find(AT_FDCWD, store.c_str(), 0);
  if (!found) return;
  mount_ = found->mount;
  builds_ = store / "builds";
  folders_ = folders_of(store);
}

// Looked at only for what another mount shows: in the store's own, each of them has the store above it.
bool StoreFolders::among_builds(const Identity& folder) const {
  std::lock_guard lock(mutex_);
  if (!builds_known_) among_builds_ = folders_of(builds_);
  builds_known_ = true;
  return contains(among_builds_, folder);
}

bool StoreFolders::is_on(dev_t device) const {
  return std::any_of(folders_.begin(), folders_.end(), [device](const auto& folder) { return folder.first == device; });
}

bool StoreFolders::is_one(int folder) const {
  if (folders_.empty()) return false;
  const auto found = find(folder, "", AT_EMPTY_PATH);
  if (!found || !is_on(found->identity.first)) return false;
  return contains(folders_, found->identity) || (found->mount != mount_ && among_builds(found->identity));
}

bool StoreFolders::is_inside(int folder) const {
  if (folders_.empty()) return false;
  if (is_one(folder)) return true;
  constexpr int k_most = PATH_MAX / 2;
  Fd step;
  for (int i = 0, at = folder; i < k_most; ++i) {
    Fd up(::openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!up) return false;
    if (is_one(up.get())) return true;
    const auto below = find(at, "", AT_EMPTY_PATH);
    const auto above = find(up.get(), "", AT_EMPTY_PATH);
    if (!below || !above || (below->identity == above->identity && below->mount == above->mount)) return false;
    step = std::move(up);
    at = step.get();
  }
  return false;
}

bool StoreFolders::has_file(int file, dev_t device) const {
  if (!is_on(device)) return false;
  std::array<char, PATH_MAX> target;
  const auto n = ::readlink(fmt::format("/proc/self/fd/{}", file).c_str(), target.data(), target.size());
  if (n <= 0) return false;  // without /proc only walks and the configuration keep store and roots apart
  const std::string_view real(target.data(), static_cast<std::size_t>(n));
  const std::string parent(real.substr(0, std::max<std::size_t>(real.rfind('/'), 1)));
  {
    std::lock_guard lock(mutex_);
    const auto known = parents_.find(parent);
    if (known != parents_.end()) return known->second;
  }
  const Fd folder(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const bool inside = folder && is_inside(folder.get());
  std::lock_guard lock(mutex_);
  if (parents_.size() >= k_parents_most) parents_.clear();
  return parents_[parent] = inside;
}

}  // namespace zipmodule::storage
