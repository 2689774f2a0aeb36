// A content root on this host.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "base/fd.hpp"
#include "storage/beneath.hpp"
#include "storage/root.hpp"

namespace zipmodule::storage {

// An open regular file of this host.
class LocalFile final : public File {
 public:
  LocalFile(Fd fd, const FileStatus& status, std::string name)
      : File(std::move(name)), fd_(std::move(fd)), status_(status) {}

  const FileStatus& status() const noexcept { return status_; }  // when it was opened
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override;
  void require_unchanged() override;
  int fd() const noexcept override { return fd_.get(); }
  bool settled() const override;
  bool in_memory() const noexcept override;
  void ask_for() const noexcept override;

 private:
  Fd fd_;
  FileStatus status_;
};

// A folder of this host. Neither '..', symlinks nor a race lead out of it. Walks have the same order with any number of
// threads.
class LocalRoot final : public Root {
 public:
  // Throws Error{config} if the folder can't be opened. `store`: the archive store, whose files are never sources.
  LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store);

  FileStatus status(const std::string& path, const std::stop_token& stop = {}) const override;
  // Never blocks on a FIFO. Throws also Error{source_type} for a directory.
  std::unique_ptr<LocalFile> open(const std::string& path) const;
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;

 private:
  friend class Folder;

  Fd open_path(const std::string& path, int flags) const;
  void require_outside_store(int fd, const std::string& path) const;

  std::filesystem::path store_;  // canonical; empty where there is none
  Fd folder_;
  Confinement confinement_ = Confinement::openat2;
};

}  // namespace zipmodule::storage
