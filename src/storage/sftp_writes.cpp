// Writing files of the host.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "storage/sftp_session.hpp"

namespace zipmodule::storage {
namespace {

// How much is on its way and not acknowledged: twice sshd's window, so that a long line is never idle.
constexpr std::size_t k_ahead_bytes = std::size_t{4} << 20U;
// What hosts give by themselves, more or less.
constexpr mode_t k_usual_mode = 0644;

unsigned size_of(const std::string& text) { return static_cast<unsigned>(text.size()); }

}  // namespace

bool SftpSession::answered_missing() const {
  const auto status = libssh2_sftp_last_error(sftp_.get());
  return is_status() && (status == LIBSSH2_FX_NO_SUCH_FILE || status == LIBSSH2_FX_NO_SUCH_PATH);
}

void SftpSession::open_to_write(const std::string& path, std::uint64_t offset, mode_t mode, const std::string& name) {
  close_later(std::move(handle_));
  open_label_.clear();
  const unsigned long flags = LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | (offset == 0 ? LIBSSH2_FXF_TRUNC : 0);
  const int rc = call([&] {
    handle_.reset(libssh2_sftp_open_ex(sftp_.get(), path.c_str(), size_of(path), flags, static_cast<long>(mode),
                                       LIBSSH2_SFTP_OPENFILE));
    return handle_ ? 0 : libssh2_session_last_errno(session_.get());
  });
  if (rc != 0) fail_path(name);
  if (offset == 0) {
    // A web server reads it, whatever umask the login has. A host that refuses the usual mode is no trouble of the
    // file.
    LIBSSH2_SFTP_ATTRIBUTES wanted{};
    wanted.flags = LIBSSH2_SFTP_ATTR_PERMISSIONS;
    wanted.permissions = LIBSSH2_SFTP_S_IFREG | mode;
    const int set = call([&] { return libssh2_sftp_fstat_ex(handle_.get(), &wanted, 1); });
    if (set != 0 && (!is_status() || mode != k_usual_mode)) fail_path(name);
  }
  libssh2_sftp_seek64(handle_.get(), offset);
}

void SftpSession::write(std::uint64_t& acknowledged, std::uint64_t end, const Bytes& bytes, const std::string& name) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(k_ahead_bytes, end - acknowledged)));
  std::size_t first = 0;  // of the buffer's bytes, the first that is not acknowledged
  std::size_t filled = 0;
  deadline_.begin();
  finish_half_closed();
  while (acknowledged < end) {
    // libssh2 remembers what it has sent by its place behind the acknowledged: the bytes themselves may move.
    if (first >= buffer.size() / 2 || filled == first) {
      std::memmove(buffer.data(), buffer.data() + first, filled - first);
      filled -= std::exchange(first, 0);
    }
    const std::uint64_t offset = acknowledged + (filled - first);
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size() - filled, end - offset));
    if (more > 0) {
      try {
        bytes(offset, std::span(buffer).subspan(filled, more));
      } catch (...) {
        broken_ = true;  // requests are under way
        throw;
      }
      filled += more;
    }
    const auto rc =
        libssh2_sftp_write(handle_.get(), reinterpret_cast<const char*>(buffer.data() + first), filled - first);
    if (rc == LIBSSH2_ERROR_EAGAIN) {
      wait();
      continue;
    }
    if (rc < 0) fail_transfer(name);
    deadline_.heard(static_cast<std::uint64_t>(rc));
    if (stop_.stop_requested()) wait();
    first += static_cast<std::size_t>(rc);
    acknowledged += static_cast<std::uint64_t>(rc);
  }
}

void SftpSession::finish_writing(const std::string& name) {
  const int synced = call([&] { return libssh2_sftp_fsync(handle_.get()); });
  const bool unknown = synced != 0 && libssh2_session_last_errno(session_.get()) == LIBSSH2_ERROR_SFTP_PROTOCOL &&
                       libssh2_sftp_last_error(sftp_.get()) == LIBSSH2_FX_OP_UNSUPPORTED;
  if (synced != 0 && !unknown) fail_transfer(name);
  const int closed = call([&] { return libssh2_sftp_close_handle(handle_.get()); });
  static_cast<void>(handle_.release());  // freed, whatever the answer was
  // What is wrong with the file, the host may tell only now.
  if (closed != 0) fail_path(name);
}

bool SftpSession::make_folder(const std::string& path, mode_t folder_mode, const std::string& name) {
  const int rc = call(
      [&] { return libssh2_sftp_mkdir_ex(sftp_.get(), path.c_str(), size_of(path), static_cast<long>(folder_mode)); });
  if (rc == 0) {
    LIBSSH2_SFTP_ATTRIBUTES mode{};
    mode.flags = LIBSSH2_SFTP_ATTR_PERMISSIONS;
    mode.permissions = folder_mode;
    const int set = call(
        [&] { return libssh2_sftp_stat_ex(sftp_.get(), path.c_str(), size_of(path), LIBSSH2_SFTP_SETSTAT, &mode); });
    if (set != 0 && !is_status()) fail_path(name);
    return true;
  }
  const auto status = libssh2_sftp_last_error(sftp_.get());
  const bool there = is_status() && (status == LIBSSH2_FX_FAILURE || status == LIBSSH2_FX_FILE_ALREADY_EXISTS);
  if (!there && !answered_missing()) fail_path(name);
  return false;
}

void SftpSession::set_time(const std::string& path, std::int64_t mtime_ns, const std::string& name) {
  LIBSSH2_SFTP_ATTRIBUTES wanted{};
  wanted.flags = LIBSSH2_SFTP_ATTR_ACMODTIME;
  wanted.mtime = static_cast<unsigned long>(mtime_ns / 1'000'000'000);
  wanted.atime = wanted.mtime;
  const int set = call(
      [&] { return libssh2_sftp_stat_ex(sftp_.get(), path.c_str(), size_of(path), LIBSSH2_SFTP_SETSTAT, &wanted); });
  if (set != 0 && !is_status()) fail_path(name);
}

void SftpSession::rename(const std::string& from, const std::string& to, const std::string& name) {
  const auto move = [&] {
    return call([&] {
#if LIBSSH2_VERSION_NUM >= 0x010b00
      return libssh2_sftp_posix_rename_ex(sftp_.get(), from.c_str(), from.size(), to.c_str(), to.size());
#else
      return libssh2_sftp_rename_ex(sftp_.get(), from.c_str(), size_of(from), to.c_str(), size_of(to), 0);
#endif
    });
  };
  if (move() == 0) return;
  if (!is_status() || answered_missing()) fail_path(name);
  // Version 3 of the protocol does not replace.
  unlink(to, name);
  if (move() != 0) fail_path(name);
}

void SftpSession::unlink(const std::string& path, const std::string& name) {
  const int rc = call([&] { return libssh2_sftp_unlink_ex(sftp_.get(), path.c_str(), size_of(path)); });
  if (rc != 0 && !answered_missing()) fail_path(name);
}

std::string SftpSession::link_target(const std::string& path, const std::string& name) {
  std::array<char, k_path_bytes> target;
  const int size = call([&] {
    return libssh2_sftp_symlink_ex(sftp_.get(), path.c_str(), size_of(path), target.data(), target.size(),
                                   LIBSSH2_SFTP_READLINK);
  });
  if (size > 0) return {target.data(), static_cast<std::size_t>(size)};
  // Something else than a symlink is 'failure'.
  if (size < 0 && !is_status()) fail_path(name);
  return {};
}

bool SftpSession::make_link(const std::string& target, const std::string& path, const std::string& name) {
  // sshd takes the target first, and whoever talks to it has to.
  std::string link = path;
  const int rc = call([&] {
    return libssh2_sftp_symlink_ex(sftp_.get(), target.c_str(), size_of(target), link.data(), size_of(link),
                                   LIBSSH2_SFTP_SYMLINK);
  });
  if (rc != 0 && !is_status()) fail_path(name);
  // libssh2 1.10 tells a status that is not the host's.
  return link_target(path, name) == target;
}

std::optional<std::uint64_t> SftpSession::free_bytes(const std::string& path) {
  LIBSSH2_SFTP_STATVFS space{};
  if (call([&] { return libssh2_sftp_statvfs(sftp_.get(), path.c_str(), path.size(), &space); }) != 0) {
    return std::nullopt;
  }
  return space.f_bavail * space.f_frsize;
}

}  // namespace zipmodule::storage
