// Changes of folders that survive a crash: what is made, renamed or removed in one is safe once the folder is synced.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "base/error.hpp"

namespace zipmodule {

struct FolderAccess {
  mode_t mode = 0755;
  std::optional<gid_t> group{};  // nullopt: the one that the system gives
};

// Syncs each of the folders, several at once: syncs that wait at the same time can share one journal commit and one
// flush of the disk's cache, those that come one after the other have one each. Returns what failed, by folder.
std::map<std::filesystem::path, Error> sync_folders(const std::set<std::filesystem::path>& folders);
// Throws the first that failed: store_error.
void sync_folders_or_throw(const std::set<std::filesystem::path>& folders);

// mkdir -p, with this mode and group whatever the umask is: a web server reads what is below. Adds the parents of new
// folders to `unsynced`: until those are synced, a crash may lose what is inside. Throws store_error.
void make_folder(const std::filesystem::path& folder, const FolderAccess& access,
                 std::set<std::filesystem::path>& unsynced);
// Gives a folder that is there this mode and group. Throws store_error.
void give_folder_access(const std::filesystem::path& folder, const FolderAccess& access);

// Has the symlink `link` lead to `target` in one step, by way of `fresh`, a name on the same file system that is free.
// Throws store_error.
void switch_symlink(const std::string& target, const std::filesystem::path& link, const std::filesystem::path& fresh);

// No error where there is nothing. Throws store_error.
void unlink_or_throw(const std::filesystem::path& path);

}  // namespace zipmodule
