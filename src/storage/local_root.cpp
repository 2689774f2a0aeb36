#include "storage/local_root.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <limits>

namespace zipmodule::storage {
namespace {

// 64 bits hold 1678 to 2262; XFS and ext4 know later years, which become the last nanosecond instead of wrapping around.
std::int64_t nanoseconds(const timespec& time) noexcept {
  constexpr std::int64_t k_second = 1'000'000'000;
  constexpr std::int64_t k_most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t seconds = time.tv_sec;
  if (seconds >= k_most / k_second) return k_most;
  if (seconds <= -(k_most / k_second)) return -k_most;
  return seconds * k_second + time.tv_nsec;
}

FileType type_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return FileType::regular;
  if (S_ISDIR(mode)) return FileType::directory;
  if (S_ISLNK(mode)) return FileType::symlink;
  return FileType::other;
}

FileStatus to_status(const struct stat& s) noexcept {
  return {type_of(s.st_mode),
          (s.st_mode & S_IXUSR) != 0,
          static_cast<std::uint64_t>(s.st_size),
          nanoseconds(s.st_mtim),
          nanoseconds(s.st_ctim),
          s.st_ino,
          s.st_dev};
}

Error source_error(int error_number, const std::string& name) {
  const std::string message = fmt::format("source {}: {}", name, errno_text(error_number));
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return {ErrorKind::source_missing, message, "put it there, or publish a list without it"};
    case EXDEV:
      return {ErrorKind::source_outside, fmt::format("source {} leads outside its content root", name),
              "replace the symlink by the content, or name the root where the content is"};
    case ENXIO:
    case ENODEV:
      return {ErrorKind::source_type, fmt::format("source {} is a socket or device, not a file", name)};
    default:
      return {ErrorKind::source_unreadable, message, "give the user that runs zipmodule the right to read it"};
  }
}

Error wrong_type(const std::string& name) {
  return {ErrorKind::source_type, fmt::format("source {} is neither a regular file nor a folder", name),
          "FIFOs, sockets and devices can't be archived"};
}

struct CloseDirectory {
  void operator()(DIR* p) const noexcept { ::closedir(p); }
};

// The names in an open folder, unsorted.
std::vector<std::string> list_names(const Fd& fd, const std::string& name) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(::dup(fd.get())));
  if (!directory) throw source_error(errno, name);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view found(entry->d_name);
    if (found != "." && found != "..") names.emplace_back(found);
    errno = 0;
  }
  if (errno != 0) throw source_error(errno, name);
  return names;
}

}  // namespace

std::size_t OpenFile::read_at(std::uint64_t offset, std::span<std::byte> buffer) const {
  const auto n = pread_full(fd_.get(), buffer, offset);
  if (n < 0) throw source_error(errno, name_);
  return static_cast<std::size_t>(n);
}

void OpenFile::require_unchanged() const {
  struct stat now {};
  if (::fstat(fd_.get(), &now) != 0) throw source_error(errno, name_);
  if (to_status(now) != status_) {
    throw Error(ErrorKind::source_changed, fmt::format("source {} changed while it was read", name_),
                "publish when its writer is finished");
  }
}

bool OpenFile::settled() const {
  // Times move in steps of the kernel's clock tick, at most 10 ms.
  constexpr std::int64_t k_settled_ns = 100'000'000;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return status_.ctime_ns < now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec - k_settled_ns;
}

LocalRoot::LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store)
    : name_(std::move(name)), folder_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!folder_) {
    throw Error(ErrorKind::config, fmt::format("content root {} at {}: {}", name_, folder.string(), errno_text(errno)),
                fmt::format("mount or create it, or change content.roots.{}", name_));
  }
  std::error_code unresolved;
  store_ = std::filesystem::canonical(store, unresolved);
  if (unresolved) store_.clear();
  confinement_ = probe_confinement(folder_.get());
}

Fd LocalRoot::open_path(const std::string& path, int flags) const {
  Fd fd(open_beneath(folder_.get(), path.empty() ? "." : path, flags, confinement_));
  if (!fd) throw source_error(errno, full_name(path));
  return fd;
}

void LocalRoot::require_outside_store(int fd, const std::string& path) const {
  if (store_.empty()) return;
  std::array<char, PATH_MAX> target;
  const auto n = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  if (n < 0) return;  // without /proc only the configuration keeps store and roots apart
  const std::string_view real(target.data(), static_cast<std::size_t>(n));
  const std::string& store = store_.native();
  if (real == store || (real.starts_with(store) && real[store.size()] == '/')) {
    throw Error(ErrorKind::source_outside, fmt::format("source {} lies in the archive store", full_name(path)),
                "archives are never sources; list the content itself");
  }
}

FileStatus LocalRoot::status(const std::string& path) const {
  const Fd fd = open_path(path, O_PATH);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) throw source_error(errno, full_name(path));
  require_outside_store(fd.get(), path);
  const FileStatus status = to_status(s);
  if (status.type == FileType::other || status.type == FileType::symlink) throw wrong_type(full_name(path));
  return status;
}

OpenFile LocalRoot::open(const std::string& path) const {
  // O_NONBLOCK: a FIFO put in the file's place must not hold the build; it has no effect on regular files.
  Fd fd = open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) throw source_error(errno, full_name(path));
  require_outside_store(fd.get(), path);
  const FileStatus status = to_status(s);
  if (status.type != FileType::regular) throw wrong_type(full_name(path));
  return {std::move(fd), status, full_name(path)};
}

// One walk: a stack of open folders, at most max_depth deep.
class LocalRoot::Walk {
 public:
  Walk(const LocalRoot& root, std::string base, unsigned max_depth, const std::stop_token& stop, Visitor& visitor)
      : root_(root), base_(std::move(base)), max_depth_(max_depth), stop_(stop), visitor_(visitor) {}

  void folder(Fd fd, const std::string& below) {
    if (ancestors_.size() >= max_depth_) {
      throw Error(ErrorKind::limit, fmt::format("source {} is more than {} folders deep", name(below), max_depth_),
                  "raise limits.max_depth");
    }
    struct stat s {};
    if (::fstat(fd.get(), &s) != 0) throw source_error(errno, name(below));
    const std::pair<std::uint64_t, std::uint64_t> identity(s.st_dev, s.st_ino);
    if (std::find(ancestors_.begin(), ancestors_.end(), identity) != ancestors_.end()) {
      throw Error(ErrorKind::source_unreadable,
                  fmt::format("source {} is a symlink to a folder that contains it", name(below)),
                  "remove the symlink");
    }
    root_.require_outside_store(fd.get(), path(below));
    ancestors_.push_back(identity);
    for (const Child& child : children(fd, below)) visit(fd, child, below);
    ancestors_.pop_back();
  }

 private:
  struct Child {
    std::string sort_key;  // the name, with '/' behind it for a folder
    std::string name;
    FileStatus status;
    bool through_symlink = false;
  };

  static std::string join(const std::string& folder, const std::string& name) {
    if (folder.empty() || name.empty()) return folder + name;
    return fmt::format("{}/{}", folder, name);
  }
  std::string path(const std::string& below) const { return join(base_, below); }
  std::string name(const std::string& below) const { return root_.full_name(path(below)); }

  std::vector<Child> children(const Fd& fd, const std::string& below) {
    std::vector<Child> found;
    for (std::string& child_name : list_names(fd, name(below))) {
      if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
      const std::string child_below = join(below, child_name);
      Child child;
      try {
        struct stat s {};
        if (::fstatat(fd.get(), child_name.c_str(), &s, AT_SYMLINK_NOFOLLOW) != 0)
          throw source_error(errno, name(child_below));
        child.status = to_status(s);
        if (child.status.type == FileType::symlink) {
          child.status = root_.status(path(child_below));
          child.through_symlink = true;
        }
        if (child.status.type == FileType::other) throw wrong_type(name(child_below));
      } catch (const Error& error) {
        visitor_.problem(child_below, error);
        continue;
      }
      child.sort_key = child.status.type == FileType::directory ? child_name + "/" : child_name;
      child.name = std::move(child_name);
      found.push_back(std::move(child));
    }
    std::sort(found.begin(), found.end(), [](const Child& a, const Child& b) { return a.sort_key < b.sort_key; });
    return found;
  }

  void visit(const Fd& parent, const Child& child, const std::string& below) {
    const std::string child_below = join(below, child.name);
    visitor_.found(child_below, child.status);
    if (child.status.type != FileType::directory) return;
    Fd fd;
    try {
      const int flags = O_RDONLY | O_DIRECTORY;
      // A real folder may have become a symlink since it was listed: O_NOFOLLOW. A symlink is resolved from the root.
      fd = child.through_symlink ? root_.open_path(path(child_below), flags)
                                 : Fd(open_beneath(parent.get(), child.name, flags | O_NOFOLLOW, root_.confinement_));
      if (!fd) throw source_error(errno, name(child_below));
    } catch (const Error& error) {
      visitor_.problem(child_below, error);
      return;
    }
    folder(std::move(fd), child_below);
  }

  const LocalRoot& root_;
  const std::string base_;
  const unsigned max_depth_;
  const std::stop_token& stop_;
  Visitor& visitor_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ancestors_;
};

void LocalRoot::walk(const std::string& path, unsigned max_depth, const std::stop_token& stop, Visitor& visitor) const {
  Walk(*this, path, max_depth, stop, visitor).folder(open_path(path, O_RDONLY | O_DIRECTORY), "");
}

}  // namespace zipmodule::storage
