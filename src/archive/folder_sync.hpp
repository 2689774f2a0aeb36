// Making renames durable, many at a time.
#pragma once

#include <filesystem>
#include <map>
#include <set>

#include "base/error.hpp"

namespace zipmodule::archive {

// Syncs each of the folders, several at once: journalling file systems answer syncs that wait at the same time with one
// journal commit, those that come one after the other with one each. Returns what failed, by folder.
std::map<std::filesystem::path, Error> sync_folders(const std::set<std::filesystem::path>& folders);

}  // namespace zipmodule::archive
