// Whether a run by this user could work in a published tree, tried out without leaving anything behind: a folder or
// file that one user's check had created would keep another user's run from its work.
#pragma once

#include <filesystem>
#include <vector>

namespace zipmodule::tree {

struct Probe {
  std::vector<std::filesystem::path> missing;  // folders that the first run creates
  std::filesystem::path existing;              // the root, or the nearest folder above it that is there
};

// Does all that a build or delivery does, on a small scale, where the folders are there: a file is written, synced and
// renamed, a symlink is made and switched. Asks for the right to write in each folder. Throws Error{store_unwritable,
// disk_full, io} naming the first folder that a run could not create or write in.
Probe try_out(const std::filesystem::path& root);

}  // namespace zipmodule::tree
