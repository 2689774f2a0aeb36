// Looking at files of the host, and reading them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "storage/remote.hpp"
#include "storage/sftp_session.hpp"

namespace zipmodule::storage {
namespace {

// libssh2_sftp_read asks for four times as many bytes as the buffer holds, ahead of what is wanted. With a quarter of
// what is left, it asks for just that, all at once.
constexpr std::size_t k_asked_ahead = 4;

FileStatus to_status(const LIBSSH2_SFTP_ATTRIBUTES& attributes) {
  constexpr std::int64_t k_second = 1'000'000'000;
  FileStatus status;
  const unsigned long mode = (attributes.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 ? attributes.permissions : 0;
  if (LIBSSH2_SFTP_S_ISREG(mode)) status.type = FileType::regular;
  if (LIBSSH2_SFTP_S_ISDIR(mode)) status.type = FileType::directory;
  if (LIBSSH2_SFTP_S_ISLNK(mode)) status.type = FileType::symlink;
  status.executable = (mode & LIBSSH2_SFTP_S_IXUSR) != 0;
  if ((attributes.flags & LIBSSH2_SFTP_ATTR_SIZE) != 0) status.size_bytes = attributes.filesize;
  // Unsigned seconds of 32 bits in version 3 of the protocol.
  if ((attributes.flags & LIBSSH2_SFTP_ATTR_ACMODTIME) != 0) {
    status.mtime_ns = static_cast<std::int64_t>(attributes.mtime) * k_second;
  }
  // Nothing can be told of a file without them.
  constexpr unsigned long k_needed = LIBSSH2_SFTP_ATTR_SIZE | LIBSSH2_SFTP_ATTR_ACMODTIME;
  if (status.type == FileType::regular && (attributes.flags & k_needed) != k_needed) status.type = FileType::other;
  return status;
}

}  // namespace

std::string SftpSession::real_path(const std::string& path, const std::string& name) {
  std::array<char, k_path_bytes> target;
  const int size = call([&] {
    return libssh2_sftp_symlink_ex(sftp_.get(), path.c_str(), static_cast<unsigned>(path.size()), target.data(),
                                   static_cast<unsigned>(target.size()), LIBSSH2_SFTP_REALPATH);
  });
  if (size > 0) return {target.data(), static_cast<std::size_t>(size)};
  if (size < 0 && !is_status()) fail_path(name);
  const bool nowhere = size < 0 && libssh2_sftp_last_error(sftp_.get()) == LIBSSH2_FX_NO_SUCH_FILE;
  // Where a folder on the way is missing or closed, sshd's status is of no worth ('ok', 'failure', as it comes). What
  // it says of the path itself is: only a symlink that is there may lead nowhere.
  status(path, name);
  if (nowhere) throw missing(name);
  throw Error(ErrorKind::source_unreadable,
              fmt::format("{} {}: {} does not tell where it leads", options_.what, name, options_.host),
              fmt::format("give {} the right to read it there", options_.user));
}

bool SftpSession::lists_symlinks() const {
  const char* const banner = libssh2_session_banner_get(session_.get());
  return banner != nullptr && std::string_view(banner).starts_with("SSH-2.0-OpenSSH");
}

FileStatus SftpSession::status(const std::string& path, const std::string& name, int kind) {
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  const int rc = call([&] {
    return libssh2_sftp_stat_ex(sftp_.get(), path.c_str(), static_cast<unsigned>(path.size()), kind, &attributes);
  });
  if (rc != 0) fail_path(name);
  return to_status(attributes);
}

void SftpSession::list(const std::string& folder, const std::string& name, const std::function<void(Listed)>& found) {
  Handle handle;
  const int opened = call([&] {
    handle.reset(libssh2_sftp_open_ex(sftp_.get(), folder.c_str(), static_cast<unsigned>(folder.size()), 0, 0,
                                      LIBSSH2_SFTP_OPENDIR));
    return handle ? 0 : libssh2_session_last_errno(session_.get());
  });
  if (opened != 0) fail_path(name);
  try {
    while (auto listed = next_of(handle.get(), name)) {
      if (listed->file != "." && listed->file != "..") found(std::move(*listed));
    }
  } catch (...) {
    close_later(std::move(handle));
    throw;
  }
  close_later(std::move(handle));
}

std::optional<SftpSession::Listed> SftpSession::next_of(LIBSSH2_SFTP_HANDLE* folder, const std::string& name) {
  std::array<char, k_path_bytes> text;
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  const int size =
      call([&] { return libssh2_sftp_readdir_ex(folder, text.data(), text.size(), nullptr, 0, &attributes); });
  if (size < 0) fail_transfer(name);
  if (size == 0) return std::nullopt;
  return Listed{{text.data(), static_cast<std::size_t>(size)}, to_status(attributes)};
}

bool SftpSession::open(const std::string& label, const std::string& path, const std::string& name) {
  close_later(std::move(handle_));
  const auto size = static_cast<unsigned>(path.size());
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  std::optional<Error> problem;
  int opened = LIBSSH2_ERROR_EAGAIN;
  int looked = LIBSSH2_ERROR_EAGAIN;
  bool asking = false;  // for the status; behind the request to open
  deadline_.begin();
  finish_half_closed();
  while (opened == LIBSSH2_ERROR_EAGAIN || looked == LIBSSH2_ERROR_EAGAIN) {
    const int before = opened;
    if (opened == LIBSSH2_ERROR_EAGAIN && !(asking && looked == LIBSSH2_ERROR_EAGAIN && half_sent())) {
      handle_.reset(libssh2_sftp_open_ex(sftp_.get(), path.c_str(), size, LIBSSH2_FXF_READ, 0, LIBSSH2_SFTP_OPENFILE));
      opened = handle_ ? 0 : libssh2_session_last_errno(session_.get());
      if (opened == LIBSSH2_ERROR_EAGAIN && half_sent()) {
        wait();
        continue;
      }
      if (opened != 0 && opened != LIBSSH2_ERROR_EAGAIN) problem.emplace(path_error(name));
    }
    if (looked == LIBSSH2_ERROR_EAGAIN) {
      asking = true;
      looked = libssh2_sftp_stat_ex(sftp_.get(), path.c_str(), size, LIBSSH2_SFTP_LSTAT, &attributes);
      if (looked != 0 && looked != LIBSSH2_ERROR_EAGAIN) problem.emplace(path_error(name));
    }
    if (before != opened || looked != LIBSSH2_ERROR_EAGAIN)
      deadline_.heard(0);
    else
      wait();
  }
  if (problem || to_status(attributes).type != FileType::regular) {
    close();
    if (problem) throw Error(*problem);
    return false;
  }
  open_label_ = label;
  return true;
}

// Other requests may be under way: their answers would be taken for those of the next ones.
void SftpSession::fail_transfer(const std::string& name) {
  broken_ = true;
  fail_path(name);
}

std::size_t SftpSession::read(std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                              FileStatus* after) {
  LIBSSH2_SFTP_HANDLE* const handle = handle_.get();
  if (libssh2_sftp_tell64(handle) != offset) libssh2_sftp_seek64(handle, offset);
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  std::size_t got = 0;
  bool end = false;
  bool asking = false;  // for the status; behind the requests for bytes, which all are sent by the first call
  bool told = after == nullptr;
  deadline_.begin();
  finish_half_closed();
  while ((got < buffer.size() && !end) || !told) {
    bool heard_something = false;
    bool must_ask_on = asking && !told && half_sent();
    if (got < buffer.size() && !end && !must_ask_on) {
      const std::size_t left = buffer.size() - got;
      const auto rc = libssh2_sftp_read(handle, reinterpret_cast<char*>(buffer.data() + got),
                                        std::max<std::size_t>(1, left / k_asked_ahead));
      if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN) fail_transfer(name);
      if (rc >= 0) heard_something = true;
      if (rc > 0) got += static_cast<std::size_t>(rc);
      if (rc > 0) deadline_.heard(static_cast<std::uint64_t>(rc));
      if (rc == 0) end = true;
      if (rc == LIBSSH2_ERROR_EAGAIN && half_sent()) {
        wait();
        continue;
      }
    }
    if (!told) {
      asking = true;
      const int rc = libssh2_sftp_fstat_ex(handle, &attributes, 0);
      if (rc != 0 && rc != LIBSSH2_ERROR_EAGAIN) fail_transfer(name);
      told = rc == 0;
      heard_something = heard_something || told;
    }
    if (heard_something)
      deadline_.heard(0);
    else
      wait();
  }
  if (after != nullptr) *after = to_status(attributes);
  return got;
}

}  // namespace zipmodule::storage
