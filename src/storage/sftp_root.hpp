// A content root on another host, read over SFTP.
//
// Where a symlink leads is asked of the host, so what lies outside is not found by looking it up. Between that and the
// opening, whoever may write there can put a symlink in a file's place: the protocol has no way to refuse to follow it. Only
// the host itself can confine a login (sshd_config: ChrootDirectory, ForceCommand internal-sftp). Of symlinks that lead in a
// circle sshd says that there is no such file: Error{source_missing}.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
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
// A file's version is told by where it really is (a number in the inode's place), size and modification time. Times have whole seconds and come from the other host's
// clock: a file that was changed within the last minute, by our clock, is not recognised as unchanged by a later build.
class SftpRoot final : public Root {
 public:
  // `folder`: absolute, or relative to where the login begins. `window_bytes`: the most that is in flight from this host.
  SftpRoot(std::string name, SftpOptions options, std::string folder, std::uint64_t window_bytes);
  ~SftpRoot() override;

  FileStatus status(const std::string& path, const std::stop_token& stop) const override;
  // Opens nothing yet: what is wrong with the file is told when it is read, and by require_unchanged().
  std::future<FileStatus> look_up(const std::string& path, const std::stop_token& stop) const override;
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;
  // The user may be left out.
  std::optional<std::string> path_of(const std::string& url) const override;
  Fetchers* fetchers() const noexcept override { return fetchers_.get(); }

  // One name in a folder.
  struct Child {
    std::string name;
    FileStatus status;
    std::unique_ptr<Error> problem;  // why there is no status
  };
  struct Listing {
    std::string real;             // where the folder really is: to tell whether a symlink leads back up
    std::vector<Child> children;  // sorted bytewise, folders as if their names ended in '/'
  };
  // What is in a folder. Counts in `names`, which must be good until it returns, and throws Error{limit} where they would
  // become more than `most`.
  Listing list(const std::string& path, std::atomic<std::uint64_t>& names, std::uint64_t most,
               const std::stop_token& stop) const;

 private:
  friend class SftpFile;

  std::string base(SftpSession& session) const;
  std::string real_path(SftpSession& session, const std::string& path) const;
  std::string real_of(SftpSession& session, const std::string& path, const FileStatus& listed) const;
  void require_below(const std::string& base, const std::string& real, const std::string& path) const;
  void require_name(const std::string& path, const std::string& name) const;
  void note_folder(const std::string& path, const std::string& real) const;
  void look_at(SftpSession& session, const std::string& folder, const std::string& real_folder, Child& child) const;
  FileStatus identified(FileStatus status, const std::string& real, const std::string& path) const;

  const std::string folder_;
  const std::uint64_t device_;
  const std::unique_ptr<SftpHost> host_;

  mutable std::mutex mutex_;
  mutable std::string base_;                            // guarded by mutex_, as below; empty: not asked yet
  mutable std::map<std::string, std::string> folders_;  // where folders really are, as far as is known

  const std::unique_ptr<Fetchers> fetchers_;  // last: their tasks end before the rest goes
};

}  // namespace zipmodule::storage
