// A content root on another host, read over SFTP.
//
// Symlinks are resolved here (SftpPaths), so what lies outside is not found by looking it up, whatever the server calls
// a file's canonical path. Between that and the opening, whoever may write there can put a symlink in a file's place:
// the protocol has no way to refuse to follow it. Only the host itself can confine a login (sshd_config:
// ChrootDirectory, ForceCommand internal-sftp).
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/fetchers.hpp"
#include "storage/root.hpp"
#include "storage/sftp_options.hpp"
#include "storage/sftp_paths.hpp"

namespace zipmodule::storage {

class SftpHost;
class SftpSession;
class WalkFrame;

// Opens its first connection when it is first asked for something, and closes the last one a few seconds after it was
// needed. A connection that is lost is replaced, and the file goes on where it was, if it is the same version still.
//
// A file's version is where it really is, its size and its modification time. Times have whole seconds and come from
// the other host's clock: a file that was changed within the last minute, by our clock, is not recognised as unchanged
// by a later build.
class SftpRoot final : public Root {
 public:
  // `folder`: absolute, or relative to where the login begins. `window_bytes`: the most that is in flight from this
  // host.
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
    std::string real;              // where the folder really is: to tell whether a symlink leads back up
    std::vector<Child> children;   // sorted bytewise, folders as if their names ended in '/'
    std::uint64_t name_bytes = 0;  // of these children
    std::uint64_t left_out = 0;    // excluded names
  };
  // What is in a folder of a walk that began when it was `asked` for. Its names are held in `frame`, until the caller
  // releases them.
  Listing list(const std::string& below, SftpPaths::Time asked, WalkFrame& frame, const std::stop_token& stop) const;

 private:
  friend class SftpFile;

  FileStatus status_since(const std::string& path, SftpPaths::Time asked, const std::stop_token& stop) const;
  std::string real_of(SftpSession& session, const std::string& path, const FileStatus& listed) const;
  void require_name(const std::string& path, const std::string& name) const;
  void look_at(SftpSession& session, const std::string& folder, const std::string& real_folder, SftpPaths::Time asked,
               Child& child) const;
  std::uint64_t file_of(const std::string& real) const;  // as Version::file
  FileStatus identified(FileStatus status, const std::string& real, const std::string& path) const;

  const std::string folder_;
  const std::uint64_t hash_;  // of where it is
  const std::unique_ptr<SftpHost> host_;
  const std::unique_ptr<SftpPaths> paths_;
  const std::unique_ptr<Fetchers> fetchers_;  // last: their tasks end before the rest goes
};

}  // namespace zipmodule::storage
