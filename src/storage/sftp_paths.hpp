// Where the paths of an SFTP root lead. Private to src/storage.
//
// Symlinks are resolved here, and never by the host: what it calls the canonical path of a file may still lead through
// symlinks (paramiko, pkg/sftp). Each component is asked for by LSTAT. A symlink's target (READLINK) is followed from
// where the symlink stands, or from the top of the root where it is absolute and names the root's own folder. So no
// path leads out.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/root.hpp"

namespace zipmodule::storage {

class SftpSession;

// Thread-safe.
class SftpPaths {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `folder`: the root's, absolute or relative to where the login begins. `root` is for messages and must outlive this.
  SftpPaths(const Root& root, std::string folder) : root_(root), folder_(std::move(folder)) {}

  struct Place {
    std::string real;   // absolute, without symlinks below the top of the root
    FileStatus status;  // no symlink's
  };
  // What `path` leads to. What has been learnt of folders and symlinks on the way since `asked` counts, so that many
  // questions asked at a time cost about one round trip each, and no answer is older than its question.
  // Throws Error{source_missing, source_outside, source_unreadable}.
  Place find(SftpSession& session, const std::string& path, Time asked);
  // What the symlink `file` in the real folder `folder` leads to. `path`: the symlink's, for messages.
  Place follow(SftpSession& session, const std::string& folder, const std::string& file, const std::string& path,
               Time asked);
  // Where `path` led when it was looked at last; nullopt where that is not remembered. Nobody is asked.
  std::optional<std::string> remembered(const std::string& path);

 private:
  using Components = std::deque<std::string>;
  // What was found at a real path: a folder, or a symlink.
  struct Fact {
    Time learnt;
    std::string target;  // the symlink's; empty: it is a folder
  };
  // A path on its way.
  struct Trail {
    std::string top;              // where the root begins
    std::vector<std::string> at;  // real components below it
    Components ahead;
    unsigned symlinks = 0;

    std::string real() const;
  };

  std::string top(SftpSession& session);
  std::optional<Place> go(SftpSession* session, Trail& trail, const std::string& path, Time asked);
  std::string target_of(SftpSession& session, const std::string& link, const std::string& path);
  void turn(Trail& trail, const std::string& target, const std::string& path) const;
  std::optional<Fact> recall(const std::string& real, Time asked);
  void remember(const std::string& real, Fact fact);

  const Root& root_;
  const std::string folder_;

  mutable std::mutex mutex_;
  std::string top_;  // guarded by mutex_, as below; empty: not asked yet
  std::unordered_map<std::string, Fact> facts_;
  std::size_t facts_bytes_ = 0;
};

}  // namespace zipmodule::storage
