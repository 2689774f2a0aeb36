#include "archive/store_probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "archive/store.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/folders.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

void require_writable(const fs::path& folder) {
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw store_error(errno, "write in folder " + folder.string());
}

fs::path nearest_existing(fs::path folder) {
  std::error_code error;
  while (!fs::exists(folder, error)) {
    if (fs::is_symlink(folder, error)) {
      throw Error(ErrorKind::io, "the symlink " + folder.string() + " leads to nothing", "mount the disk it leads to");
    }
    if (!folder.has_parent_path() || folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  if (!fs::is_directory(folder, error)) throw store_error(ENOTDIR, "create folder below " + folder.string());
  return folder;
}

// One that another user's run has made would fail the build or link that needs it, days later.
void require_writable_below(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) throw store_error(error.value(), "list folder " + folder.string());
  for (const auto& entry : entries) {
    if (entry.is_directory(error)) require_writable(entry.path());
  }
}

// A build on a small scale: written, synced, renamed, and away again. False where the file went meanwhile.
bool try_a_build(const Store& store) {
  const auto temporary = store.create_temporary();
  constexpr std::string_view k_text = "zipmodule check";
  if (!pwrite_full(temporary.fd(), std::as_bytes(std::span(k_text)), 0) || ::fsync(temporary.fd()) != 0) {
    throw store_error(errno, "write " + temporary.path());
  }
  // Not in a folder of builds/, which would have to be made.
  const fs::path builds = store.root() / "builds";
  const fs::path renamed = builds / fs::path(temporary.path()).filename();
  if (::rename(temporary.path().c_str(), renamed.c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw store_error(errno, "rename " + temporary.path() + " to " + renamed.string());
  }
  const auto unsynced = sync_folders({builds});
  if (::unlink(renamed.c_str()) != 0) throw store_error(errno, "remove " + renamed.string());
  if (!unsynced.empty()) throw unsynced.begin()->second;
  return true;
}

}  // namespace

StoreProbe probe_store(const fs::path& root) {
  StoreProbe probe;
  probe.existing = nearest_existing(root);
  if (probe.existing != root) {
    require_writable(probe.existing);
    probe.missing = {root};
    return probe;
  }
  const Store store(root, 0, Folders::expected);
  for (const char* name : {"builds", "public", "tmp"}) {
    const fs::path folder = root / name;
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(folder, ignored)))
      probe.missing.push_back(folder);
    else
      require_writable(folder);
  }
  std::error_code error;
  const bool begun = store.has_marker() && fs::exists(store.lock_path(), error);
  if (!probe.missing.empty() || !begun) require_writable(root);
  if (!probe.missing.empty()) return probe;
  require_writable_below(root / "builds");
  require_writable_below(root / "public");
  // A run that starts now empties tmp/, once.
  bool kept = try_a_build(store);
  if (!kept) kept = try_a_build(store);
  if (!kept) {
    throw Error(ErrorKind::io, "files in " + (root / "tmp").string() + " disappear", "look what else removes them");
  }
  return probe;
}

}  // namespace zipmodule::archive
