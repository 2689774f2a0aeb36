// A file system of its own for one test: an image file, mounted by loop.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "support/temp_dir.hpp"

namespace zipmodule::test {

// Needs root, a loop device and mkfs of the type; where one is missing, `why_not` says which.
class LoopMount {
 public:
  // `type`: xfs, btrfs, ext4. nullptr, with the reason in `why_not`, where this machine can't.
  static std::unique_ptr<LoopMount> make(const std::string& type, std::string& why_not);
  ~LoopMount();
  LoopMount(const LoopMount&) = delete;
  LoopMount& operator=(const LoopMount&) = delete;

  std::filesystem::path path() const { return dir_ / "mounted"; }
  // Bytes that its files take on it, as the file system counts.
  std::uint64_t used_bytes() const;

 private:
  LoopMount() = default;

  TempDir dir_{"mount"};
  bool mounted_ = false;
};

}  // namespace zipmodule::test
