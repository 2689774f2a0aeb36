#include "tree/tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/folders.hpp"

namespace zipmodule::tree {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_up = "../../";

std::int64_t mtime_of(const struct stat& s) noexcept {
  return std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

fs::directory_iterator list_folder(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) throw store_error(error.value(), "list folder " + folder.string());
  return entries;
}

// The build that a link's text leads to.
std::optional<std::string> build_of(const std::string& target) {
  if (!target.starts_with(k_up)) return std::nullopt;
  const std::string id = fs::path(target).stem().string();
  if (!is_build_id(id) || target != std::string(k_up) + build_path(id)) return std::nullopt;
  return id;
}

// Where the link to a build is made before it is moved to its public name.
fs::path fresh_link(const fs::path& root, const std::string& build_id) {
  return root / "tmp" / fs::path(build_path(build_id)).filename().replace_extension(".link");
}

std::optional<std::string> leads_to(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (!error) return build_of(target.native());
  // EINVAL: something else than a symlink is there.
  if (error.value() == ENOENT || error.value() == ENOTDIR || error.value() == EINVAL) return std::nullopt;
  throw store_error(error.value(), "read link " + link.string());
}

// Where only the folders below the root may be written: a few hundred bytes are one write of a disk. False where that
// is not allowed either, with errno as it was.
bool write_in_place(const fs::path& path, const std::string& text) {
  const int saved = errno;
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  errno = saved;
  if (!fd) return false;
  if (!pwrite_full(fd.get(), std::as_bytes(std::span(text)), 0) ||
      ::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0)
    throw store_error(errno, "write " + path.string());
  fsync_or_throw(fd.get(), path);
  close_or_throw(std::move(fd), path);
  return true;
}

}  // namespace

Part::Part(const Tree& tree, std::string build_id, std::string path, Fd fd)
    : tree_(&tree), build_id_(std::move(build_id)), path_(std::move(path)), fd_(std::move(fd)) {}

Part::Part(Part&& other) noexcept
    : tree_(other.tree_),
      build_id_(std::move(other.build_id_)),
      path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)) {}

Part::~Part() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

BuildFile Part::publish(std::optional<std::int64_t> mtime_ns) {
  if (mtime_ns) {
    constexpr std::int64_t k_second = 1'000'000'000;
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{*mtime_ns / k_second, *mtime_ns % k_second}};
    if (::futimens(fd_.get(), times.data()) != 0) throw store_error(errno, "set the time of " + path_);
  }
  fsync_or_throw(fd_.get(), path_);
  struct stat s {};
  if (::fstat(fd_.get(), &s) != 0) throw store_error(errno, "stat " + path_);
  // NFS and quotas may refuse the last bytes at a close, whichever descriptor it is of.
  close_or_throw(Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), path_);
  const fs::path final_path = tree_->build_file(build_id_);
  std::set<fs::path> unsynced{final_path.parent_path()};
  make_folder(final_path.parent_path(), tree_->access_.of_folders(), unsynced);
  if (::rename(path_.c_str(), final_path.c_str()) != 0)
    throw store_error(errno, fmt::format("rename {} to {}", path_, final_path.string()));
  path_ = final_path.string();
  sync_folders_or_throw(unsynced);
  return {static_cast<std::uint64_t>(s.st_size), mtime_of(s)};
}

Tree::Tree(fs::path root, Access access) : root_(std::move(root)), access_(access) {}

void Tree::give_access(int fd, const std::string& path) const {
  if (access_.group && ::fchown(fd, static_cast<uid_t>(-1), *access_.group) != 0)
    throw store_error(errno, fmt::format("give {} to group {}", path, *access_.group));
  if (::fchmod(fd, access_.mode) != 0) throw store_error(errno, "chmod " + path);
}

void Tree::make_folders() const {
  std::set<fs::path> unsynced;
  for (const char* name : {"builds", "public", "tmp"}) {
    const fs::path folder = root_ / name;
    make_folder(folder, access_.of_folders(), unsynced);
    struct stat s {};
    if (::stat(folder.c_str(), &s) != 0) throw store_error(errno, "stat " + folder.string());
    const bool right =
        (s.st_mode & 0777U) == access_.of_folders().mode && (!access_.group || s.st_gid == *access_.group);
    if (!right && s.st_uid == ::geteuid()) give_folder_access(folder, access_.of_folders());
  }
  sync_folders_or_throw(unsynced);
}

Part Tree::create_part(const std::string& build_id) const {
  if (!is_build_id(build_id)) throw Error(ErrorKind::internal, fmt::format("'{}' is no build id", build_id));
  std::string path = (root_ / "tmp" / (build_id + ".zip")).string();
  unlink_or_throw(path);
  // O_RDWR: the finished file is read back before it is published. Readable by its owner alone until it is whole.
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw store_error(errno, "create " + path);
  Part part(*this, build_id, std::move(path), std::move(fd));
  give_access(part.fd(), part.path());
  return part;
}

std::optional<BuildFile> Tree::find(const std::string& build_id) const {
  const fs::path path = build_file(build_id);
  struct stat s {};
  if (::lstat(path.c_str(), &s) != 0) {
    // Only what is surely not there is missing: a disk in trouble must not cost good archives.
    if (errno != ENOENT && errno != ENOTDIR) throw store_error(errno, "stat " + path.string());
    return std::nullopt;
  }
  if (!S_ISREG(s.st_mode)) return std::nullopt;
  return BuildFile{static_cast<std::uint64_t>(s.st_size), mtime_of(s)};
}

void Tree::remove_build(const std::string& build_id) const {
  const fs::path path = build_file(build_id);
  unlink_or_throw(root_ / "tmp" / path.filename());
  unlink_or_throw(path);
}

std::optional<std::string> Tree::link_target(const std::string& series, const std::string& archive) const {
  return leads_to(root_ / public_path(series, archive));
}

bool Tree::leads_to_younger(const Link& link, std::int64_t mtime_ns) const {
  const auto target = link_target(link.series, link.archive);
  if (!target || *target == link.build_id) return false;
  const auto file = find(*target);
  return file && file->mtime_ns > mtime_ns;
}

std::set<fs::path> Tree::rename_link(const Link& wanted) const {
  const fs::path fresh = fresh_link(root_, wanted.build_id);
  if (link_target(wanted.series, wanted.archive) == wanted.build_id) return {};
  const fs::path link = root_ / public_path(wanted.series, wanted.archive);
  std::set<fs::path> unsynced{link.parent_path()};
  make_folder(link.parent_path(), access_.of_folders(), unsynced);
  // Made in tmp/ and moved: a crash leaves nothing in public/ that a web server would show.
  unlink_or_throw(fresh);
  switch_symlink(std::string(k_up) + build_path(wanted.build_id), link, fresh);
  return unsynced;
}

void Tree::switch_link(const Link& link) const { sync_folders_or_throw(rename_link(link)); }

std::vector<std::optional<Error>> Tree::switch_links(const std::vector<Link>& links) const {
  std::vector<std::optional<Error>> problems(links.size());
  std::vector<std::set<fs::path>> unsynced(links.size());
  std::set<fs::path> folders;
  for (std::size_t i = 0; i < links.size(); ++i) {
    try {
      unsynced[i] = rename_link(links[i]);
      folders.insert(unsynced[i].begin(), unsynced[i].end());
    } catch (const Error& error) {
      problems[i] = error;
    }
  }
  const auto failed = sync_folders(folders);
  for (const auto& [folder, error] : failed) {
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (unsynced[i].contains(folder) && !problems[i]) problems[i] = error;
    }
  }
  return problems;
}

bool Tree::remove_link(const Link& link) const {
  unlink_or_throw(fresh_link(root_, link.build_id));
  if (link_target(link.series, link.archive) != link.build_id) return false;
  unlink_or_throw(root_ / public_path(link.series, link.archive));
  return true;
}

std::size_t Tree::sweep_temporaries() const {
  std::size_t removed = 0;
  for (const auto& entry : list_folder(root_ / "tmp")) {
    std::error_code error;
    fs::remove_all(entry, error);  // a folder of someone's must not keep every run from its work
    if (error) throw store_error(error.value(), "remove " + entry.path().string());
    ++removed;
  }
  return removed;
}

void Tree::for_each_build(const std::function<void(const std::string&)>& visit, const std::string& stray_suffix) const {
  for (const auto& folder : list_folder(root_ / "builds")) {
    std::error_code ignored;
    if (!folder.is_directory(ignored)) continue;
    for (const auto& file : list_folder(folder)) {
      const fs::path& path = file.path();
      const std::string id = path.stem().string();
      if (!is_build_id(id)) continue;
      const bool stray =
          !stray_suffix.empty() && path.extension() == stray_suffix && !fs::exists(build_file(id), ignored);
      if (path.extension() == suffix_of(ArchiveFormat::zip) || stray) visit(id);
    }
  }
}

void Tree::for_each_link(const std::function<void(const Link&)>& visit) const {
  for (const auto& series : list_folder(root_ / "public")) {
    std::error_code ignored;
    if (!series.is_directory(ignored)) continue;
    for (const auto& archive : list_folder(series)) {
      if (archive.path().extension() != suffix_of(ArchiveFormat::zip)) continue;
      if (const auto build = leads_to(archive.path()))
        visit({series.path().filename().string(), archive.path().stem().string(), *build});
    }
  }
}

bool Tree::is_empty() const {
  std::error_code error;
  if (!fs::exists(root_ / "builds", error) && !error) return true;
  bool empty = true;
  for_each_build([&](const std::string& /*id*/) { empty = false; });
  return empty;
}

std::optional<std::string> Tree::read_marker(const char* name) const {
  const fs::path path = root_ / name;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd) throw store_error(errno, "open " + path.string());
  std::array<char, 4'096> text{};
  const ssize_t n = pread_full(fd.get(), std::as_writable_bytes(std::span(text)), 0);
  if (n < 0) throw store_error(errno, "read " + path.string());
  return std::string(text.data(), static_cast<std::size_t>(n));
}

void Tree::write_marker(const char* name, const std::string& text) const {
  const fs::path path = root_ / name;
  const std::string fresh = path.string() + ".new";
  unlink_or_throw(fresh);
  Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd && errno == EACCES && write_in_place(path, text)) return;
  if (!fd) throw store_error(errno, "create " + fresh);
  // Readable whatever cron's umask is: `check` by another user has to know the store as well.
  if (::fchmod(fd.get(), 0644) != 0) throw store_error(errno, "chmod " + fresh);
  if (!pwrite_full(fd.get(), std::as_bytes(std::span(text)), 0)) throw store_error(errno, "write " + fresh);
  fsync_or_throw(fd.get(), fresh);
  close_or_throw(std::move(fd), fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) throw store_error(errno, "rename " + fresh);
  sync_folders_or_throw({root_});
}

std::uint64_t Tree::free_bytes() const {
  struct statvfs space {};
  if (::statvfs(root_.c_str(), &space) != 0) throw store_error(errno, "statvfs " + root_.string());
  return std::uint64_t{space.f_bavail} * space.f_frsize;
}

}  // namespace zipmodule::tree
