// A content root on this host.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/fd.hpp"
#include "storage/beneath.hpp"
#include "storage/file_system.hpp"
#include "storage/mounts.hpp"
#include "storage/root.hpp"
#include "storage/store_folders.hpp"

namespace zipmodule::storage {

// An open regular file of this host.
class LocalFile final : public File {
 public:
  LocalFile(Fd fd, const struct stat& status, FileSystem file_system, std::string name);

  const FileStatus& status() const noexcept { return status_; }  // when it was opened
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override;
  void require_unchanged() override;
  int fd() const noexcept override { return fd_.get(); }
  bool settled() const override;
  bool in_memory() const noexcept override;
  void ask_for() const noexcept override;

 private:
  Fd fd_;
  const FileStatus status_;
  const std::int64_t changed_ns_;
  const FileSystem file_system_;
};

// A folder of this host. Neither '..', symlinks nor a race lead out of it. Walks have the same order with any number of
// threads.
class LocalRoot final : public Root {
 public:
  // Throws Error{root_away} if the folder can't be opened. `store`: the archive store, whose files are never sources.
  LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store);

  // What any local root has as Version::file of what is at a path of this host; nullopt where nothing is.
  static std::optional<std::uint64_t> file_at(const std::filesystem::path& path);

  FileStatus status(const std::string& path, const std::stop_token& stop = {}) const override;
  // Never blocks on a FIFO. Throws also Error{source_type} for a directory.
  std::unique_ptr<LocalFile> open(const std::string& path) const;
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;
  std::vector<std::string> names(const std::string& folder, std::size_t most) const override;
  std::vector<std::string> mounts() const override;
  void require_mounted(const std::string& path, bool listed) const override;

 private:
  friend class Folder;

  Fd open_path(const std::string& path, int flags) const;
  std::unique_ptr<LocalFile> open_file(const std::string& path, bool look_for_store) const;
  bool list_again(const std::string& path) const;
  struct stat status_of(int fd, const std::string& path) const;
  void note_mounts(const std::string& path, dev_t device) const;
  Error in_store(const std::string& path) const;

  const StoreFolders store_;
  Fd folder_;
  dev_t device_ = 0;
  Confinement confinement_ = Confinement::openat2;
  FileSystems file_systems_;
  mutable Paths mounts_;
  mutable Paths ways_;          // to folders of other devices, whose mount points were looked for
  mutable Paths listed_again_;  // folders of network file systems, for names that seemed to be missing
};

}  // namespace zipmodule::storage
