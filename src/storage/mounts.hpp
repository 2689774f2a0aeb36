// File systems that are mounted below a local root. Private to src/storage.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/fd.hpp"

namespace zipmodule::storage {

// Whether an open folder is on another file system than the folder above it.
bool is_mount_point(int folder) noexcept;

// Whether an open folder can be listed and nothing is in it.
bool is_empty_folder(int folder) noexcept;

// Lists an open folder to its end.
void list_all(int folder) noexcept;

// Paths that an attempt came across. Thread-safe.
class Paths {
 public:
  // Whether it is a new one.
  bool add(const std::string& path);
  std::vector<std::string> all() const;  // sorted

 private:
  mutable std::mutex mutex_;
  std::set<std::string> paths_;  // guarded by mutex_
};

}  // namespace zipmodule::storage
