// Whether a run by this user could work in a store, tried out without leaving anything behind: a folder or file that one
// user's check had created would keep another user's run from its work.
#pragma once

#include <filesystem>
#include <vector>

namespace zipmodule::archive {

struct StoreProbe {
  std::vector<std::filesystem::path> missing;  // folders that the first run creates
  std::filesystem::path existing;              // the root, or the nearest folder above it that is there
};

// Writes, syncs and renames a file where the folders are there, and asks for the right to write in each of them. Throws
// Error{store_unwritable, disk_full, io} naming the first folder that a run could not create or write in.
StoreProbe probe_store(const std::filesystem::path& root);

}  // namespace zipmodule::archive
