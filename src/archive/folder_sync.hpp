// Making renames durable, many at a time.
#pragma once

#include <filesystem>
#include <map>
#include <set>

#include "base/error.hpp"

namespace zipmodule::archive {

// Syncs each of the folders, several at once: syncs that wait at the same time can share one journal commit and one flush of
// the disk's cache, those that come one after the other have one each. Returns what failed, by folder.
std::map<std::filesystem::path, Error> sync_folders(const std::set<std::filesystem::path>& folders);

}  // namespace zipmodule::archive
