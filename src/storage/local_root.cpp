#include "storage/local_root.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/freer.hpp"
#include "base/log.hpp"
#include "storage/file_status.hpp"
#include "storage/walk.hpp"

namespace zipmodule::storage {
namespace {

// From this size on a file is read in several pieces by several threads, which the system takes for random access: it
// reads less ahead, unless it is told. 1.5 GB from a cold cache (128 KiB of readahead) by two threads, six times:
// median 4.1 s, told 2.5 s.
constexpr std::uint64_t k_sequential_from = std::uint64_t{2} << 20U;

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

LocalFile::LocalFile(Fd fd, const struct stat& status, FileSystem file_system, std::string name)
    : File(std::move(name)),
      fd_(std::move(fd)),
      status_(to_status(status)),
      changed_ns_(changed_ns(status)),
      file_system_(file_system) {}

std::size_t LocalFile::read_at(std::uint64_t offset, std::span<std::byte> buffer) {
  const auto n = pread_full(fd_.get(), buffer, offset);
  if (n < 0) throw source_error(errno, name());
  return static_cast<std::size_t>(n);
}

bool LocalFile::in_memory() const noexcept {
  char first = 0;
  const iovec into{&first, 1};
  return ::preadv2(fd_.get(), &into, 1, 0, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

void LocalFile::ask_for() const noexcept { ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_WILLNEED); }

void LocalFile::require_unchanged() {
  struct stat now {};
  if (status_at(file_system_, fd_.get(), "", AT_EMPTY_PATH, now) != 0) throw source_error(errno, name());
  if (to_status(now).version != status_.version) throw changed(name());
}

bool LocalFile::settled() const { return is_past(file_system_, changed_ns_) && write_back(file_system_, fd_.get()); }

LocalRoot::LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store)
    : Root(std::move(name)), store_(store), folder_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!folder_) {
    throw Error(ErrorKind::root_away,
                fmt::format("content root {} at {}: {}", this->name(), folder.string(), errno_text(errno)),
                fmt::format("mount or create it, or change content.roots.{}", this->name()));
  }
  struct stat s {};
  if (::fstat(folder_.get(), &s) != 0) throw source_error(errno, full_name(""));
  device_ = s.st_dev;
  if (is_mount_point(folder_.get())) mounts_.add("");
  confinement_ = probe_confinement(folder_.get());
  if (confinement_ == Confinement::components) {
    log::debug(
        "content root {}: this kernel or sandbox has no openat2: paths are opened step by step, without symlinks",
        this->name());
  }
}

std::optional<std::uint64_t> LocalRoot::file_at(const std::filesystem::path& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return std::nullopt;
  return to_status(s).version.file;
}

Fd LocalRoot::open_path(const std::string& path, int flags) const {
  const std::string below = path.empty() ? "." : path;
  Fd fd(open_beneath(folder_.get(), below, flags, confinement_));
  while (!fd && errno == ENOENT && list_again(path)) fd = Fd(open_beneath(folder_.get(), below, flags, confinement_));
  if (!fd) throw source_error(errno, full_name(path));
  return fd;
}

// A host may remember that a name is missing on a network file system. To list its folder has it forget that. Returns
// whether there was something to list; keeps errno.
bool LocalRoot::list_again(const std::string& path) const {
  constexpr int k_flags = O_RDONLY | O_DIRECTORY;
  const int saved = errno;
  bool listed = false;
  for (std::string folder = parent_of(path);; folder = parent_of(folder)) {
    const Fd fd(open_beneath(folder_.get(), folder.empty() ? "." : folder, k_flags, confinement_));
    if (!fd && !folder.empty()) continue;
    listed = fd && file_system_of(fd.get()) == FileSystem::network && listed_again_.add(folder);
    struct stat s {};
    if (listed) status_at(FileSystem::network, fd.get(), "", AT_EMPTY_PATH, s);
    if (listed) list_all(fd.get());
    break;
  }
  errno = saved;
  return listed;
}

struct stat LocalRoot::status_of(int fd, const std::string& path) const {
  struct stat s {};
  if (::fstat(fd, &s) != 0) throw source_error(errno, full_name(path));
  const FileSystem file_system = file_systems_.of(fd, s.st_dev);
  if (file_system == FileSystem::network && status_at(file_system, fd, "", AT_EMPTY_PATH, s) != 0) {
    throw source_error(errno, full_name(path));
  }
  return s;
}

Error LocalRoot::in_store(const std::string& path) const {
  return {ErrorKind::source_outside, fmt::format("source {} lies in the archive store", full_name(path)),
          "archives are never sources; list the content itself"};
}

FileStatus LocalRoot::status(const std::string& path, const std::stop_token& /*stop*/) const {
  const Fd fd = open_path(path, O_PATH);
  const struct stat s = status_of(fd.get(), path);
  const FileStatus status = to_status(s);
  if (status.type == FileType::other || status.type == FileType::symlink) throw wrong_type(full_name(path));
  const bool folder = status.type == FileType::directory;
  if (folder ? store_.is_inside(fd.get()) : store_.has_file(fd.get(), s.st_dev)) throw in_store(path);
  note_mounts(folder ? path : parent_of(path), s.st_dev);
  return status;
}

// Of the folders on the way to one on `device`.
void LocalRoot::note_mounts(const std::string& path, dev_t device) const {
  if (device == device_ || !ways_.add(path)) return;
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string folder = path.substr(0, end);
    const Fd fd(open_beneath(folder_.get(), folder, O_PATH | O_DIRECTORY, confinement_));
    if (fd && is_mount_point(fd.get())) mounts_.add(folder);
  }
}

std::vector<std::string> LocalRoot::mounts() const { return mounts_.all(); }

void LocalRoot::require_mounted(const std::string& path, bool listed) const {
  const auto away = [&](const std::string& what, const std::string& hint) {
    return Error(ErrorKind::root_away, fmt::format("source {} {}", full_name(path), what), hint);
  };
  const std::string was = "a disk was mounted there when the archive was built last";
  if (path.empty()) {
    if (is_mount_point(folder_.get())) return;
    throw away("is no mount point: " + was,
               fmt::format("mount it; where it is to be none any more, name a file that has to be there as "
                           "content.roots.{}.marker",
                           name()));
  }
  try {
    const Fd fd = open_path(path, O_PATH | O_DIRECTORY);
    if (is_empty_folder(fd.get())) {
      throw away("is empty: " + was, "mount it; where none belongs there any more, remove the folder");
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::source_missing) throw;
    if (listed) throw away("is not there: " + was, "mount it, or publish a list without it");
  }
}

std::unique_ptr<LocalFile> LocalRoot::open(const std::string& path) const { return open_file(path, true); }

std::unique_ptr<LocalFile> LocalRoot::open_file(const std::string& path, bool look_for_store) const {
  // O_NONBLOCK: a FIFO put in the file's place must not hold the build; it has no effect on regular files.
  Fd fd = open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  const struct stat s = status_of(fd.get(), path);
  if (!S_ISREG(s.st_mode)) throw wrong_type(full_name(path));
  if (look_for_store && store_.has_file(fd.get(), s.st_dev)) throw in_store(path);
  if (static_cast<std::uint64_t>(s.st_size) >= k_sequential_from)
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const FileSystem file_system = file_systems_.of(fd.get(), s.st_dev);
  return std::make_unique<LocalFile>(std::move(fd), s, file_system, full_name(path));
}

std::unique_ptr<File> LocalRoot::open(const std::string& path, const FileStatus& listed,
                                      const std::stop_token& /*stop*/) const {
  auto file = open_file(path, false);  // the listed version is none of the store's
  if (file->status().version != listed.version) {
    throw Error(ErrorKind::source_changed, fmt::format("source {} changed after it was listed", file->name()),
                "publish when its writer is finished");
  }
  return file;
}

std::vector<std::string> LocalRoot::names(const std::string& folder, std::size_t most) const {
  std::vector<std::string> names;
  try {
    Fd fd = open_path(folder, O_RDONLY | O_DIRECTORY);
    if (store_.is_inside(fd.get())) throw in_store(folder);
    const std::unique_ptr<DIR, Freer<::closedir>> directory(::fdopendir(fd.get()));
    if (!directory) return names;
    fd.release();
    while (names.size() < most) {
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      names.emplace_back(entry->d_name);
    }
  } catch (const Error&) {
    names.clear();
  }
  return names;
}

void LocalRoot::walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                     Visitor& visitor) const {
  WalkFrame frame(*this, path, limits, stop, visitor);
  Walk(*this, frame).run();
}

}  // namespace zipmodule::storage
