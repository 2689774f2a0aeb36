#include "base/folders.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

#include "base/fd.hpp"
#include "base/threads.hpp"

namespace zipmodule {
namespace {

// Most syncs at once; the threads only wait. One by one, 32 folders took 170 ms on a busy disk (ext4 without a
// journal).
constexpr std::size_t k_at_once = 16;

// Hands the folders to the threads, and collects what failed.
class Syncing {
 public:
  explicit Syncing(const std::set<std::filesystem::path>& folders) : next_(folders.begin()), end_(folders.end()) {}

  void work() {
    for (auto folder = take(); folder != end_; folder = take()) {
      try {
        fsync_or_throw(open_directory(*folder).get(), *folder);
      } catch (const Error& error) {
        std::lock_guard lock(mutex_);
        failed_.emplace(*folder, error);
      }
    }
  }

  std::map<std::filesystem::path, Error> take_failed() { return std::move(failed_); }

 private:
  using Place = std::set<std::filesystem::path>::const_iterator;

  Place take() {
    std::lock_guard lock(mutex_);
    return next_ == end_ ? end_ : next_++;
  }

  std::mutex mutex_;
  Place next_;  // guarded by mutex_, as failed_
  const Place end_;
  std::map<std::filesystem::path, Error> failed_;
};

}  // namespace

std::map<std::filesystem::path, Error> sync_folders(const std::set<std::filesystem::path>& folders) {
  Syncing syncing(folders);
  {
    const std::size_t threads = std::min(folders.size(), k_at_once);
    const auto others = start_threads("syncing folders", threads > 0 ? threads - 1 : 0,
                                      [&](const std::stop_token&) { syncing.work(); });
    syncing.work();
  }
  return syncing.take_failed();
}

void sync_folders_or_throw(const std::set<std::filesystem::path>& folders) {
  const auto failed = sync_folders(folders);
  if (!failed.empty()) throw failed.begin()->second;
}

void give_folder_access(const std::filesystem::path& folder, const FolderAccess& access) {
  if (access.group && ::chown(folder.c_str(), static_cast<uid_t>(-1), *access.group) != 0)
    throw store_error(errno, "change the group of " + folder.string());
  if (::chmod(folder.c_str(), access.mode) != 0) throw store_error(errno, "chmod " + folder.string());
}

void make_folder(const std::filesystem::path& folder, const FolderAccess& access,
                 std::set<std::filesystem::path>& unsynced) {
  int error = ::mkdir(folder.c_str(), 0700) == 0 ? 0 : errno;
  if (error == ENOENT && folder != folder.root_path()) {
    make_folder(folder.parent_path(), access, unsynced);
    // Once more, and no oftener: below a symlink to a disk that is not mounted it fails for ever.
    error = ::mkdir(folder.c_str(), 0700) == 0 ? 0 : errno;
  }
  if (error == EEXIST) return;
  if (error != 0) throw store_error(error, "create folder " + folder.string());
  give_folder_access(folder, access);
  unsynced.insert(folder.parent_path());
}

void switch_symlink(const std::string& target, const std::filesystem::path& link, const std::filesystem::path& fresh) {
  if (::symlink(target.c_str(), fresh.c_str()) != 0) throw store_error(errno, "create link " + fresh.string());
  if (::rename(fresh.c_str(), link.c_str()) != 0) {
    const int saved = errno;
    ::unlink(fresh.c_str());
    throw store_error(saved, "switch link " + link.string());
  }
}

void unlink_or_throw(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw store_error(errno, "remove " + path.string());
}

}  // namespace zipmodule
