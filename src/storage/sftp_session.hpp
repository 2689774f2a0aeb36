// One SSH connection with its SFTP channel (draft-ietf-secsh-filexfer-02, version 3). Private to src/storage.
#pragma once

#include <libssh2.h>
#include <libssh2_sftp.h>

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

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/freer.hpp"
#include "storage/root.hpp"
#include "storage/sftp_options.hpp"

namespace zipmodule::storage {

// For one thread at a time. After any error but those of single files (what status() and open() say of a path) the
// session is broken: nothing is known about what the host has sent or will send, so it is to be thrown away.
//
// Errors: source_unreachable (no route, no answer, connection lost, not an SSH or SFTP server), source_refused (login,
// host key), stopped; of paths, named `name`: source_missing, source_unreadable, source_type.
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
  // Of the path itself, also where that is a symlink. The version stays zero.
  FileStatus status(const std::string& path, const std::string& name) { return status(path, name, LIBSSH2_SFTP_LSTAT); }
  // Of what the path leads to.
  FileStatus status_behind(const std::string& path, const std::string& name) {
    return status(path, name, LIBSSH2_SFTP_STAT);
  }
  // Whether symlinks are listed as such: OpenSSH's server does so, others may list them as what they lead to.
  bool lists_symlinks() const;
  Error missing(const std::string& name) const;  // says that there is no such file

  struct Listed {
    std::string file;
    FileStatus status;
  };
  // Calls `found` with what is in a folder, without '.' and '..'.
  void list(const std::string& folder, const std::string& name, const std::function<void(Listed)>& found);

  // Opens the file `path` to be read, which `label` stands for. It stays open until the next one is opened. Returns
  // false where `path` itself is no file, but a symlink or something else: that is asked beside the opening, without
  // another round trip.
  bool open(const std::string& label, const std::string& path, const std::string& name);
  bool is_open(const std::string& label) const { return handle_ && open_label_ == label; }
  void close() { close_later(std::move(handle_)); }
  // Of the open file; fewer bytes only at its end. With `after`, also the file's status, asked for behind all these
  // bytes and without another round trip.
  std::size_t read(std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                   FileStatus* after = nullptr);

  // Opens a file to be written from `offset` on; from 0, whatever was in it goes, and it gets this mode. It stays open
  // until finish_writing().
  void open_to_write(const std::string& path, std::uint64_t offset, mode_t mode, const std::string& name);
  // Writes the bytes from `acknowledged` to `end`, which `bytes(offset, buffer)` puts into the buffer, many ahead of
  // what the host has acknowledged. That is counted in `acknowledged`, also where it throws.
  using Bytes = std::function<void(std::uint64_t, std::span<std::byte>)>;
  void write(std::uint64_t& acknowledged, std::uint64_t end, const Bytes& bytes, const std::string& name);
  // Has the host put it on its disk, where it knows how to (fsync@openssh.com), and closes it.
  void finish_writing(const std::string& name);

  // False where there is something of that name, or no folder to make it in.
  bool make_folder(const std::string& path, mode_t mode, const std::string& name);
  // Whole seconds. A host that refuses keeps its own time.
  void set_time(const std::string& path, std::int64_t mtime_ns, const std::string& name);
  // In one step where libssh2 knows posix-rename@openssh.com (1.11); else what was there is removed before.
  void rename(const std::string& from, const std::string& to, const std::string& name);
  void unlink(const std::string& path, const std::string& name);  // no error where there is nothing
  // What the symlink leads to, as it was made; empty where there is none.
  std::string link_target(const std::string& path, const std::string& name);
  // False where it could not be made: there is something of that name, or no folder to make it in, or no right.
  bool make_link(const std::string& target, const std::string& path, const std::string& name);
  // What the login may still write there (statvfs@openssh.com); nullopt where the host does not tell.
  std::optional<std::uint64_t> free_bytes(const std::string& path);

 private:
  explicit SftpSession(const SftpOptions& options);

  FileStatus status(const std::string& path, const std::string& name, int kind);

  // The longest name and path that are read: PATH_MAX, and no host has longer ones.
  static constexpr std::size_t k_path_bytes = 4'096;

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
  [[noreturn]] void fail(const std::string& doing);
  [[noreturn]] void fail_path(const std::string& name) { throw Error(path_error(name)); }
  Error path_error(const std::string& name);
  [[noreturn]] void fail_transfer(const std::string& name);
  bool answered_missing() const;
  bool is_status() const;
  std::string_view last_words() const;
  Error lost(const std::string& what) const;
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
  Deadline deadline_;   // of what is asked for

  Fd socket_;
  std::unique_ptr<LIBSSH2_SESSION, Freer<libssh2_session_free>> session_;
  std::unique_ptr<LIBSSH2_SFTP, Freer<libssh2_sftp_shutdown>> sftp_;
  Handle handle_;
  std::string open_label_;
  std::vector<Handle> closing_;                 // asked to be closed, and not answered
  LIBSSH2_SFTP_HANDLE* half_closed_ = nullptr;  // of these, the one whose request is half sent
};

template <class Attempt>
int SftpSession::call(Attempt attempt) {
  deadline_.begin();
  finish_half_closed();
  for (;;) {
    const int rc = attempt();
    if (rc != LIBSSH2_ERROR_EAGAIN) return rc;
    wait();
  }
}

}  // namespace zipmodule::storage
