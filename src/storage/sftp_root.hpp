// A content root on another host, read over SFTP.
//
// Where a symlink leads is asked of the host, so what lies outside is not found by looking it up. Between that and the
// opening, whoever may write there can put a symlink in a file's place: the protocol has no way to refuse to follow it. Only
// the host itself can confine a login (sshd_config: ChrootDirectory, ForceCommand internal-sftp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/fetchers.hpp"
#include "storage/root.hpp"
#include "storage/sftp_options.hpp"

namespace zipmodule::storage {

class SftpHost;
class SftpSession;

// Opens its first connection when it is first asked for something, and closes the last one a few seconds after it was needed.
// A connection that is lost is replaced, and the file goes on where it was, if it is the same version still.
//
// A file's version is told by its path, size and modification time. Times have whole seconds and come from the other host's
// clock: a file that was changed within the last minute, by our clock, is not recognised as unchanged by a later build.
class SftpRoot final : public Root {
 public:
  // `folder`: absolute, or relative to where the login begins. `window_bytes`: the most that is in flight from this host.
  SftpRoot(std::string name, SftpOptions options, std::string folder, std::uint64_t window_bytes);
  ~SftpRoot() override;

  FileStatus status(const std::string& path, const std::stop_token& stop) const override;
  // Opens nothing yet: what is wrong with the file is told when it is read, and by require_unchanged().
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;
  Fetchers* fetchers() const noexcept override { return fetchers_.get(); }

  // One name in a folder.
  struct Child {
    std::string name;
    FileStatus status;
    std::unique_ptr<Error> problem;  // why there is no status
  };
  // What is in a folder, sorted bytewise, folders as if their names ended in '/'. Throws Error{limit} with more than
  // `most` names.
  std::vector<Child> list(const std::string& path, std::uint64_t most, const std::stop_token& stop) const;
  // Where the folder really is on its host: to tell whether a symlink leads back up.
  std::string real_folder(const std::string& path, const std::stop_token& stop) const;

 private:
  friend class SftpFile;

  struct Known {
    std::string real;
    std::chrono::steady_clock::time_point until;
  };

  std::string base(SftpSession& session) const;
  // Errors tell of `wanted`, for which they are asked.
  std::string real_below(SftpSession& session, const std::string& path, const std::string& wanted) const;
  std::string real_of_folder(SftpSession& session, const std::string& path, const std::string& wanted) const;
  std::string real_of_file(SftpSession& session, const std::string& path) const;
  void require_below(const std::string& base, const std::string& real, const std::string& path) const;
  void note_symlink(const std::string& path, const std::string& real) const;
  FileStatus resolve(SftpSession& session, const std::string& path, const std::string& parent,
                     const FileStatus& listed) const;
  FileStatus identified(FileStatus status, const std::string& path) const;

  const std::string folder_;
  const std::uint64_t device_;
  const std::unique_ptr<SftpHost> host_;
  const std::unique_ptr<Fetchers> fetchers_;

  mutable std::mutex mutex_;
  mutable std::string base_;                          // guarded by mutex_, as below; empty: not asked yet
  mutable std::map<std::string, Known> folders_;      // where folders really are
  mutable std::map<std::string, std::string> links_;  // where symlinks to files lead
};

}  // namespace zipmodule::storage
