#include "storage/local_target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.hpp"
#include "base/folders.hpp"
#include "storage/remote.hpp"
#include "tree/marker.hpp"
#include "tree/probe.hpp"

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

// Has the kernel copy, which shares blocks where both are on a file system that can. False where it can't, or which of
// both is at fault has to be found out.
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

LocalTarget::LocalTarget(std::string name, fs::path folder, tree::Access access)
    : Target(std::move(name)), tree_(std::move(folder), access) {}

// What goes wrong is reported as this target's.
template <class What>
auto LocalTarget::guarded(What what) const {
  try {
    struct stat s {};
    if (::stat(tree_.root().c_str(), &s) != 0 || !S_ISDIR(s.st_mode)) {
      throw Error(ErrorKind::source_unreachable, fmt::format("there is no folder {}", tree_.root().string()),
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

std::optional<std::string> LocalTarget::do_read_marker(const std::stop_token& /*stop*/) {
  return guarded([&] { return tree_.read_marker(tree::k_target_marker); });
}

void LocalTarget::do_write_marker(const std::string& text, const std::stop_token& /*stop*/) {
  guarded([&] { tree_.write_marker(tree::k_target_marker, text); });
}

bool LocalTarget::do_is_empty(const std::stop_token& /*stop*/) {
  return guarded([&] { return tree_.is_empty(); });
}

bool LocalTarget::do_has_build(const std::string& build_id, const std::stop_token& /*stop*/) {
  return guarded([&] { return tree_.find(build_id).has_value(); });
}

std::uint64_t LocalTarget::do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) {
  return guarded([&]() -> std::uint64_t {
    const auto there = tree_.find(build_id);
    if (there && there->size_bytes == file.size_bytes) {
      // An earlier call may have come as far as the rename.
      sync_folders_or_throw({tree_.build_file(build_id).parent_path()});
      return 0;
    }
    tree_.make_folders();
    tree::Part part = tree_.create_part(build_id);
    copy(file, part.fd(), part.path(), stop);
    fsync_or_throw(part.fd(), part.path());
    require_same(file, part.fd(), part.path(), stop);
    part.publish(file.mtime_ns);
    part.keep();
    return file.size_bytes;
  });
}

void LocalTarget::do_point(const tree::Link& link, const std::stop_token& /*stop*/) {
  guarded([&] {
    tree_.make_folders();  // what is put already makes none
    tree_.switch_link(link);
  });
}

bool LocalTarget::do_unpoint(const tree::Link& link, const std::stop_token& /*stop*/) {
  return guarded([&] { return tree_.remove_link(link); });
}

void LocalTarget::do_remove(const std::string& build_id, const std::stop_token& /*stop*/) {
  guarded([&] { tree_.remove_build(build_id); });
}

Target::Condition LocalTarget::probe(const std::stop_token& stop) {
  return guarded([&] {
    std::error_code error;
    const fs::directory_iterator listed(tree_.root(), error);
    if (error) throw store_error(error.value(), "list folder " + tree_.root().string());
    tree::try_out(tree_.root());
    if (stop.stop_requested()) throw stopped_waiting();
    return Condition{tree_.free_bytes(), std::nullopt};
  });
}

}  // namespace zipmodule::storage
