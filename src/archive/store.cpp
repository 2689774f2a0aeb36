#include "archive/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/error.hpp"
#include "base/folders.hpp"
#include "base/random_hex.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_suffix = ".zip";
constexpr std::string_view k_record_suffix = ".sources";
constexpr std::size_t k_id_digits = 32;
constexpr const char* k_marker = ".zipmodule.store";

std::int64_t mtime_of(const struct stat& s) noexcept {
  return std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

bool plain_name(const std::string& name) noexcept {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

fs::directory_iterator list_folder(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) throw store_error(error.value(), "list folder " + folder.string());
  return entries;
}

}  // namespace

std::string build_path(const std::string& build_id) {
  return fmt::format("builds/{}/{}{}", build_id.substr(0, 2), build_id, k_suffix);
}

std::string public_path(const std::string& series, const std::string& archive) {
  if (!plain_name(series) || !plain_name(archive)) {
    throw Error(ErrorKind::payload, fmt::format("series '{}' or archive '{}' can't be a file name", series, archive));
  }
  return fmt::format("public/{}/{}{}", series, archive, k_suffix);
}

TemporaryBuild::TemporaryBuild(const Store& store, std::string id, std::string path, Fd fd)
    : store_(&store), id_(std::move(id)), path_(std::move(path)), fd_(std::move(fd)) {
  std::lock_guard lock(store_->mutex_);
  store_->open_temporaries_.insert(fd_.get());
}

TemporaryBuild::TemporaryBuild(TemporaryBuild&& other) noexcept
    : store_(other.store_),
      id_(std::move(other.id_)),
      path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)) {}

TemporaryBuild::~TemporaryBuild() {
  if (fd_) {
    std::lock_guard lock(store_->mutex_);
    store_->open_temporaries_.erase(fd_.get());
  }
  if (!path_.empty()) ::unlink(path_.c_str());
}

StoredFile TemporaryBuild::publish(const std::function<void(const std::string& path)>& record) {
  fsync_or_throw(fd_.get(), path_);
  struct stat s {};
  if (::fstat(fd_.get(), &s) != 0) throw store_error(errno, "stat " + path_);
  StoredFile stored{id_, build_path(id_), static_cast<std::uint64_t>(s.st_size), mtime_of(s)};
  const fs::path final_path = store_->absolute(stored.path);
  std::set<fs::path> unsynced{final_path.parent_path()};
  make_folder(final_path.parent_path(), unsynced);
  const fs::path record_path = store_->record_path(stored.path);
  try {
    // Not synced: one that a crash damages is found by its CRC and not used.
    if (record) record(record_path);
    if (::rename(path_.c_str(), final_path.c_str()) != 0)
      throw store_error(errno, fmt::format("rename {} to {}", path_, final_path.string()));
  } catch (...) {
    ::unlink(record_path.c_str());
    throw;
  }
  path_.clear();
  sync_folders_or_throw(unsynced);
  return stored;
}

Store::Store(fs::path root, std::uint64_t min_free_bytes, Folders folders)
    : root_(std::move(root)), min_free_bytes_(min_free_bytes) {
  if (folders == Folders::expected) return;
  std::set<fs::path> unsynced;
  for (const char* folder : {"builds", "public", "tmp"}) make_folder(root_ / folder, unsynced);
  sync_folders_or_throw(unsynced);
}

bool Store::has_marker() const {
  struct stat s {};
  if (::lstat((root_ / k_marker).c_str(), &s) == 0) return true;
  if (errno != ENOENT) throw store_error(errno, "stat " + (root_ / k_marker).string());
  return false;
}

void Store::write_marker() const {
  const fs::path path = root_ / k_marker;
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) throw store_error(errno, "create " + path.string());
  fsync_or_throw(fd.get(), path);
  sync_folders_or_throw({root_});
}

std::optional<FileLock> Store::try_lock() const { return FileLock::try_acquire(lock_path()); }

std::uint64_t Store::free_bytes() const {
  struct statvfs space {};
  if (::statvfs(root_.c_str(), &space) != 0) throw store_error(errno, "statvfs " + root_.string());
  return std::uint64_t{space.f_bavail} * space.f_frsize;
}

std::uint64_t Store::outstanding_bytes() const {
  std::uint64_t written = 0;
  {
    std::lock_guard lock(mutex_);
    for (const int fd : open_temporaries_) {
      struct stat s {};
      if (::fstat(fd, &s) != 0) continue;
      // A file that is written from several places at once has holes; a small one has a block larger than itself. The
      // lesser of the two is never more than what was promised for it.
      constexpr std::uint64_t k_block = 512;  // the unit of st_blocks, whatever the file system's is
      written += std::min(static_cast<std::uint64_t>(s.st_size), static_cast<std::uint64_t>(s.st_blocks) * k_block);
    }
  }
  const std::uint64_t reserved = reserved_;
  return reserved - std::min(reserved, written);
}

SpaceReservation Store::reserve(std::uint64_t bytes) const {
  SpaceReservation reservation(reserved_, bytes);
  // In this order: what is written in between is counted twice for a moment, never not at all.
  const std::uint64_t outstanding = outstanding_bytes();
  const std::uint64_t free = free_bytes();
  if (free < min_free_bytes_ || free - min_free_bytes_ < outstanding) {
    throw Error(ErrorKind::disk_reserve,
                fmt::format("{} has {} bytes free; builds in progress need {} and archives.min_free keeps {}",
                            root_.string(), free, outstanding, min_free_bytes_),
                "free space there, shorten archives.grace, or lower archives.min_free");
  }
  return reservation;
}

TemporaryBuild Store::create_temporary() const {
  std::string id = random_hex();
  std::string path = (root_ / "tmp" / (id + std::string(k_suffix))).string();
  // O_RDWR: the finished file is read back before it is published.
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) throw store_error(errno, "create " + path);
  if (::fchmod(fd.get(), 0644) != 0) throw store_error(errno, "chmod " + path);
  return {*this, std::move(id), std::move(path), std::move(fd)};
}

fs::path Store::link_path(const std::string& series, const std::string& archive) const {
  return root_ / public_path(series, archive);
}

std::optional<std::string> Store::link_target(const std::string& series, const std::string& archive) const {
  std::error_code error;
  const fs::path target = fs::read_symlink(link_path(series, archive), error);
  if (error) return std::nullopt;
  constexpr std::string_view k_up = "../../";
  const std::string& text = target.native();
  return text.starts_with(k_up) ? text.substr(k_up.size()) : text;
}

std::set<fs::path> Store::rename_link(const Link& wanted) const {
  if (link_target(wanted.series, wanted.archive) == wanted.build_path) return {};
  const fs::path link = link_path(wanted.series, wanted.archive);
  std::set<fs::path> unsynced{link.parent_path()};
  make_folder(link.parent_path(), unsynced);
  // Made in tmp/ and moved: a crash leaves nothing in public/ that a web server would show.
  const fs::path fresh = root_ / "tmp" / (random_hex() + ".link");
  switch_symlink("../../" + wanted.build_path, link, fresh);
  return unsynced;
}

void Store::switch_link(const std::string& series, const std::string& archive, const std::string& build) const {
  sync_folders_or_throw(rename_link({series, archive, build}));
}

std::vector<std::optional<Error>> Store::switch_links(const std::vector<Link>& links) const {
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

void Store::remove_link(const std::string& series, const std::string& archive, const std::string& build) const {
  if (link_target(series, archive) == build) unlink_or_throw(link_path(series, archive));
}

BuildState Store::state_of(const std::string& build, std::uint64_t size_bytes, std::int64_t mtime_ns) const {
  struct stat s {};
  if (::lstat(absolute(build).c_str(), &s) != 0) {
    // Only what is surely not there is missing: a disk in trouble must not cost good archives.
    if (errno != ENOENT && errno != ENOTDIR) throw store_error(errno, "stat " + absolute(build).string());
    return BuildState::missing;
  }
  if (!S_ISREG(s.st_mode)) return BuildState::missing;
  if (static_cast<std::uint64_t>(s.st_size) != size_bytes) return BuildState::wrong_size;
  return mtime_of(s) == mtime_ns ? BuildState::good : BuildState::touched;
}

fs::path Store::record_path(const std::string& build) const {
  return absolute(build).replace_extension(k_record_suffix);
}

void Store::remove_build(const std::string& build) const {
  unlink_or_throw(record_path(build));
  unlink_or_throw(absolute(build));
}

std::size_t Store::sweep_temporaries() const {
  std::size_t removed = 0;
  for (const auto& entry : list_folder(root_ / "tmp")) {
    std::error_code error;
    fs::remove_all(entry, error);  // a folder of someone's must not keep every run from its work
    if (error) throw store_error(error.value(), "remove " + entry.path().string());
    ++removed;
  }
  return removed;
}

void Store::for_each_build(const std::function<void(const std::string&, const std::string&)>& visit) const {
  for (const auto& folder : list_folder(root_ / "builds")) {
    if (!folder.is_directory()) continue;
    for (const auto& file : list_folder(folder)) {
      const fs::path& path = file.path();
      const std::string id = path.stem().string();
      if (id.size() != k_id_digits) continue;
      std::error_code ignored;
      const bool stray = path.extension() == k_record_suffix && !fs::exists(absolute(build_path(id)), ignored);
      if (path.extension() == k_suffix || stray) visit(id, build_path(id));
    }
  }
}

}  // namespace zipmodule::archive
