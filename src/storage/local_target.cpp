#include "storage/local_target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "base/fd.hpp"
#include "base/folders.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;

// How much is copied between two looks at the stop.
constexpr std::size_t k_step_bytes = std::size_t{16} << 20U;
constexpr std::size_t k_piece_bytes = std::size_t{1} << 20U;

// The one thing that can go wrong here and is not the target's.
struct ArchiveUnreadable : Error {
  explicit ArchiveUnreadable(const Error& error) : Error(error) {}
};

// Reads a piece of the archive.
std::span<const std::byte> piece_of(const LocalSource& file, std::uint64_t offset, std::span<std::byte> buffer) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file.size_bytes - offset));
  try {
    read_archive(file, offset, buffer.first(size));
  } catch (const Error& error) {
    throw ArchiveUnreadable(error);
  }
  return buffer.first(size);
}

// Has the kernel copy, which shares blocks where both are on a file system that can. False where it can't, or which of both
// is at fault has to be found out.
bool copied_by_kernel(const LocalSource& file, int to, const std::string& path, const std::stop_token& stop) {
  off_t from_offset = 0;
  off_t to_offset = 0;
  while (static_cast<std::uint64_t>(from_offset) < file.size_bytes) {
    if (stop.stop_requested()) throw stopped_waiting();
    const auto left = file.size_bytes - static_cast<std::uint64_t>(from_offset);
    const ssize_t n =
        ::copy_file_range(file.fd, &from_offset, to, &to_offset, std::min<std::uint64_t>(left, k_step_bytes), 0);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) throw store_error(errno, "write " + path);
    return false;
  }
  return true;
}

void copy(const LocalSource& file, int to, const std::string& path, const std::stop_token& stop) {
  if (copied_by_kernel(file, to, path, stop)) return;
  std::vector<std::byte> buffer(k_piece_bytes);
  for (std::uint64_t offset = 0; offset < file.size_bytes;) {
    if (stop.stop_requested()) throw stopped_waiting();
    const auto piece = piece_of(file, offset, buffer);
    if (!pwrite_full(to, piece, offset)) throw store_error(errno, "write " + path);
    offset += piece.size();
  }
}

void require_same(const LocalSource& file, int there, const std::string& path, const std::stop_token& stop) {
  ::posix_fadvise(there, 0, 0, POSIX_FADV_DONTNEED);  // from the disk, as far as the system does that
  std::vector<std::byte> ours(k_piece_bytes);
  std::vector<std::byte> theirs(k_piece_bytes);
  for (std::uint64_t offset = 0; offset < file.size_bytes;) {
    if (stop.stop_requested()) throw stopped_waiting();
    const auto piece = piece_of(file, offset, ours);
    const ssize_t got = pread_full(there, std::span(theirs).first(piece.size()), offset);
    if (got < 0) throw store_error(errno, "read " + path);
    if (static_cast<std::size_t>(got) != piece.size() || std::memcmp(piece.data(), theirs.data(), piece.size()) != 0) {
      throw Error(ErrorKind::verify, fmt::format("{} is not what was written, near byte {}", path, offset));
    }
    offset += piece.size();
  }
}

}  // namespace

LocalTarget::LocalTarget(std::string name, fs::path folder) : Target(std::move(name)), folder_(std::move(folder)) {}

// What goes wrong is told as this target's.
template <class What>
auto LocalTarget::told(What what) const {
  try {
    struct stat s {};
    if (::stat(folder_.c_str(), &s) != 0 || !S_ISDIR(s.st_mode)) {
      throw Error(ErrorKind::source_unreachable, fmt::format("there is no folder {}", folder_.string()),
                  "mount its disk, or make the folder");
    }
    return what();
  } catch (const ArchiveUnreadable& error) {
    throw to_target_error(name(), error);
  } catch (const Error& error) {
    // A folder in a file's way, a disk that fails, a network file system whose host is away.
    const bool failed = error.kind() == ErrorKind::io;
    throw to_target_error(name(), failed ? Error(ErrorKind::store_unwritable, error.what()) : error);
  }
}

std::uint64_t LocalTarget::put(const LocalSource& file, const std::string& path, const std::stop_token& stop) {
  return told([&]() -> std::uint64_t {
    const fs::path final_path = folder_ / path;
    struct stat s {};
    if (::lstat(final_path.c_str(), &s) == 0 && S_ISREG(s.st_mode) &&
        static_cast<std::uint64_t>(s.st_size) == file.size_bytes) {
      sync_folders_or_throw({final_path.parent_path()});  // whoever renamed it may have come no further
      return 0;
    }
    std::set<fs::path> unsynced{final_path.parent_path()};
    make_folder(final_path.parent_path(), unsynced);
    const std::string part = (folder_ / partial_name(path)).string();
    unlink_or_throw(part);
    const Fd fd(::open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) throw store_error(errno, "create " + part);
    try {
      if (::fchmod(fd.get(), 0644) != 0) throw store_error(errno, "chmod " + part);
      copy(file, fd.get(), part, stop);
      fsync_or_throw(fd.get(), part);
      require_same(file, fd.get(), part, stop);
      if (::rename(part.c_str(), final_path.c_str()) != 0) throw store_error(errno, "rename " + part);
    } catch (...) {
      ::unlink(part.c_str());
      throw;
    }
    sync_folders_or_throw(unsynced);
    return file.size_bytes;
  });
}

void LocalTarget::point(const std::string& link, const std::string& path, const std::stop_token& /*stop*/) {
  told([&] {
    const fs::path public_name = folder_ / link;
    const std::string target = seen_from(link, path);
    std::error_code error;
    if (fs::read_symlink(public_name, error) == target && !error) return;
    std::set<fs::path> unsynced{public_name.parent_path()};
    make_folder(public_name.parent_path(), unsynced);
    const fs::path fresh = folder_ / partial_link(link, path);
    unlink_or_throw(fresh);
    switch_symlink(target, public_name, fresh);
    sync_folders_or_throw(unsynced);
  });
}

bool LocalTarget::unpoint(const std::string& link, const std::string& path, const std::stop_token& /*stop*/) {
  return told([&] {
    unlink_or_throw(folder_ / partial_link(link, path));
    std::error_code error;
    if (fs::read_symlink(folder_ / link, error) != seen_from(link, path) || error) return false;
    unlink_or_throw(folder_ / link);
    return true;
  });
}

void LocalTarget::remove(const std::string& path, const std::stop_token& /*stop*/) {
  told([&] {
    unlink_or_throw(folder_ / partial_name(path));
    unlink_or_throw(folder_ / path);
  });
}

Target::Condition LocalTarget::probe(const std::stop_token& stop) {
  return told([&] {
    std::error_code error;
    const fs::directory_iterator listed(folder_, error);
    if (error) throw store_error(error.value(), "list folder " + folder_.string());
    const std::string marker = probe_name();
    const std::string path = (folder_ / marker).string();
    const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) throw store_error(errno, "create " + path);
    const bool written = pwrite_full(fd.get(), std::as_bytes(std::span(marker)), 0) && ::fsync(fd.get()) == 0;
    const int saved = errno;
    ::unlink(path.c_str());
    if (!written) throw store_error(saved, "write " + path);
    if (stop.stop_requested()) throw stopped_waiting();
    struct statvfs space {};
    if (::statvfs(folder_.c_str(), &space) != 0) throw store_error(errno, "statvfs " + folder_.string());
    return Condition{std::uint64_t{space.f_bavail} * space.f_frsize, std::nullopt};
  });
}

}  // namespace zipmodule::storage
