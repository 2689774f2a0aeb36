#include "tree/probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/folders.hpp"
#include "base/random_hex.hpp"
#include "tree/marker.hpp"

namespace zipmodule::tree {
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

// A file or link that goes again, whatever happens.
class Trace {
 public:
  explicit Trace(fs::path path) : path_(std::move(path)) {}
  ~Trace() { ::unlink(path_.c_str()); }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const fs::path& path() const noexcept { return path_; }

 private:
  const fs::path path_;
};

// Written, synced and renamed from one folder to the other. False where the file went meanwhile.
bool try_file(const fs::path& from, const fs::path& to) {
  const std::string name = ".zipmodule.check." + random_hex();
  const Trace written(from / name);
  Fd fd(::open(written.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw store_error(errno, "create " + written.path().string());
  if (!pwrite_full(fd.get(), std::as_bytes(std::span(name)), 0))
    throw store_error(errno, "write " + written.path().string());
  fsync_or_throw(fd.get(), written.path());
  close_or_throw(std::move(fd), written.path());
  const Trace renamed(to / (name + ".renamed"));
  if (::rename(written.path().c_str(), renamed.path().c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw store_error(errno, "rename " + written.path().string() + " to " + renamed.path().string());
  }
  sync_folders_or_throw({to});
  return true;
}

// Made, switched by rename, and away again. False where it went meanwhile.
bool try_link(const fs::path& from, const fs::path& to) {
  const std::string name = ".zipmodule.check." + random_hex();
  const Trace fresh(from / (name + ".link"));
  const Trace link(to / name);
  for (const char* target : {"first", "second"}) {
    if (::symlink(target, fresh.path().c_str()) != 0) {
      const int saved = errno;
      Error error = store_error(saved, "create link " + fresh.path().string());
      if (saved != EPERM && saved != EOPNOTSUPP && saved != ENOSYS) throw error;
      throw Error(ErrorKind::store_unwritable, error.what(),
                  "public names are symlinks: use a file system that has them, or mount it so that they are allowed");
    }
    if (::rename(fresh.path().c_str(), link.path().c_str()) == 0) continue;
    if (errno == ENOENT) return false;
    throw store_error(errno, "switch link " + link.path().string());
  }
  return true;
}

// A run that starts now empties tmp/, once.
template <class Work>
void twice(const fs::path& folder, Work work) {
  if (work() || work()) return;
  throw Error(ErrorKind::io, "files in " + folder.string() + " disappear", "look what else removes them");
}

}  // namespace

Probe try_out(const fs::path& root) {
  Probe probe;
  probe.existing = nearest_existing(root);
  if (probe.existing != root) {
    require_writable(probe.existing);
    probe.missing = {root};
    return probe;
  }
  for (const char* name : {"builds", "public", "tmp"}) {
    const fs::path folder = root / name;
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(folder, ignored)))
      probe.missing.push_back(folder);
    else
      require_writable(folder);
  }
  // Its marker is written anew by every run.
  if (::access((root / k_store_marker).c_str(), W_OK) != 0) require_writable(root);
  const bool whole = probe.missing.empty();
  const auto place = [&](const char* name) { return whole ? root / name : root; };
  twice(place("tmp"), [&] { return try_file(place("tmp"), place("builds")); });
  twice(place("tmp"), [&] { return try_link(place("tmp"), place("public")); });
  if (!whole) return probe;
  require_writable_below(root / "builds");
  require_writable_below(root / "public");
  return probe;
}

}  // namespace zipmodule::tree
