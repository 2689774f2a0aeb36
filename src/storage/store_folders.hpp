// The folders of the archive store, whose files are never sources. Private to src/storage.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace zipmodule::storage {

// Folders are told apart by device and inode: a mount may show the store, or a part of it, under any path. Thread-safe.
//
// Not promised: a single build that is mounted over a file is not recognised.
class StoreFolders {
 public:
  // `store` may be empty, or not be there.
  explicit StoreFolders(const std::filesystem::path& store);

  // Whether an open folder is one of them.
  bool is_one(int folder) const;
  // The same of it and all folders above it.
  bool is_inside(int folder) const;
  // The same of the folder of an open file, which has the device `device`.
  bool has_file(int file, dev_t device) const;

 private:
  using Identity = std::pair<dev_t, ino_t>;
  bool is_on(dev_t device) const;
  bool among_builds(const Identity& folder) const;

  std::filesystem::path builds_;
  std::vector<Identity> folders_;  // the store and what lies in it
  std::uint64_t mount_ = 0;        // that the store is on
  mutable std::mutex mutex_;
  mutable bool builds_known_ = false;                      // guarded by mutex_, as all below
  mutable std::vector<Identity> among_builds_;             // folders of builds/
  mutable std::unordered_map<std::string, bool> parents_;  // of files that were asked for, by path
};

}  // namespace zipmodule::storage
