// Opening paths that can't lead out of a directory. Private to src/storage.
#pragma once

#include <string>

#include "base/fd.hpp"

namespace zipmodule::storage {

// How paths are kept below a directory on this kernel.
enum class Confinement {
  openat2,     // RESOLVE_BENEATH: the kernel checks every step, symlinks included
  whole_host,  // the directory is '/': nothing is outside, and an absolute symlink stays inside (RESOLVE_IN_ROOT)
  components,  // Linux before 5.6, or a sandbox without openat2: one step at a time, and no symlink at all
};

// Which of them works for this directory.
Confinement probe_confinement(int directory) noexcept;

// Opens `path`, relative to `directory`, with open(2) flags (O_CLOEXEC is added). Returns -1 with errno: EXDEV where
// the path leads outside, ELOOP for symlink loops, and for any symlink under Confinement::components. An absolute
// symlink is followed where its target lies in the directory, whatever path it names that by.
int open_beneath(int directory, const std::string& path, int flags, Confinement confinement);

}  // namespace zipmodule::storage
