// Who may read what is published.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/folders.hpp"

namespace zipmodule::tree {

struct Access {
  mode_t mode = 0644;            // of files
  std::optional<gid_t> group{};  // nullopt: the one that the system gives

  // Who may read a file may search the folders above it.
  FolderAccess of_folders() const noexcept { return {mode | 0700U | ((mode & 0444U) >> 2U), group}; }

  bool operator==(const Access&) const = default;
};

}  // namespace zipmodule::tree
