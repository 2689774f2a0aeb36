// One SSH connection with its SFTP channel (draft-ietf-secsh-filexfer-02, version 3). Private to src/storage.
#pragma once

#include <libssh2.h>
#include <libssh2_sftp.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/freer.hpp"
#include "storage/root.hpp"
#include "storage/sftp_options.hpp"

namespace zipmodule::storage {

// For one thread at a time. After any error but those of single files (what status() and open() say of a path) the session
// is broken: nothing is known about what the host has sent or will send, so it is to be thrown away.
//
// Errors: source_unreachable (no route, no answer, connection lost, not an SSH or SFTP server), source_refused (login, host
// key), stopped; of paths, named `name`: source_missing, source_unreadable, source_type.
class SftpSession {
 public:
  // Connects, compares the host's key with known_hosts and logs in.
  SftpSession(const SftpOptions& options, std::stop_token stop);
  ~SftpSession();
  SftpSession(const SftpSession&) = delete;
  SftpSession& operator=(const SftpSession&) = delete;

  bool broken() const noexcept { return broken_; }
  // Whoever uses it next can be stopped.
  void lend_to(std::stop_token stop) { stop_ = std::move(stop); }

  // Absolute, with symlinks resolved as the host does it.
  std::string real_path(const std::string& path, const std::string& name);
  // Of the path itself, also where that is a symlink. Inode and device stay zero.
  FileStatus status(const std::string& path, const std::string& name);

  struct Listed {
    std::string file;
    FileStatus status;
  };
  // Calls `found` with what is in a folder, without '.' and '..'.
  void list(const std::string& folder, const std::string& name, const std::function<void(Listed)>& found);

  // Opens the file `path` to be read, which `label` stands for. It stays open until the next one is opened.
  void open(const std::string& label, const std::string& path, const std::string& name);
  bool is_open(const std::string& label) const { return handle_ && open_label_ == label; }
  void close() { close_later(std::move(handle_)); }
  // Of the open file; fewer bytes only at its end. With `after`, also the file's status, asked for behind all these bytes
  // and without another round trip.
  std::size_t read(std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                   FileStatus* after = nullptr);

 private:
  explicit SftpSession(const SftpOptions& options);

  using Handle = std::unique_ptr<LIBSSH2_SFTP_HANDLE, Freer<libssh2_sftp_close_handle>>;

  void connect();
  [[noreturn]] void refuse_subsystem();
  void require_known_host();
  void log_in();
  bool log_in_by_agent();
  bool log_in_by_file(const std::filesystem::path& key);

  // Calls `attempt`, which returns an rc of libssh2, until it is not LIBSSH2_ERROR_EAGAIN.
  template <class Attempt>
  int call(Attempt attempt);
  void wait();
  void look_for_end();
  void heard() { silent_since_ = std::chrono::steady_clock::now(); }
  [[noreturn]] void fail(const std::string& doing);
  [[noreturn]] void fail_path(const std::string& name);
  [[noreturn]] void fail_reading(const std::string& name);
  bool is_status() const;
  std::string_view last_words() const;
  Error lost(const std::string& what) const;
  Error missing(const std::string& name) const;
  std::string where() const;
  std::optional<Listed> next_of(LIBSSH2_SFTP_HANDLE* folder, const std::string& name);
  void close_later(Handle handle);
  void drive_closing();
  void finish_half_closed();
  bool half_sent() const;

  const SftpOptions options_;
  std::stop_token stop_;
  bool broken_ = false;
  bool ended_ = false;  // by the other side
  std::chrono::steady_clock::time_point silent_since_;

  Fd socket_;
  std::unique_ptr<LIBSSH2_SESSION, Freer<libssh2_session_free>> session_;
  std::unique_ptr<LIBSSH2_SFTP, Freer<libssh2_sftp_shutdown>> sftp_;
  Handle handle_;
  std::string open_label_;
  std::vector<Handle> closing_;                 // asked to be closed, and not answered
  LIBSSH2_SFTP_HANDLE* half_closed_ = nullptr;  // of these, the one whose request is half sent
};

}  // namespace zipmodule::storage
