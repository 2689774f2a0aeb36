// Reads that fail as those of a broken disk do, and closes as those of a full one behind a network.
#pragma once

#include <cstdint>
#include <filesystem>

namespace zipmodule::test {

// While it lives, every pread of the file from this offset on fails with EIO, whoever makes it. One at a time.
class FailingReads {
 public:
  FailingReads(const std::filesystem::path& file, std::uint64_t from);
  ~FailingReads();
  FailingReads(const FailingReads&) = delete;
  FailingReads& operator=(const FailingReads&) = delete;
};

// While it lives, every close of a file in this folder fails with ENOSPC, as where a quota or a server's disk is full. One at a
// time.
class FailingCloses {
 public:
  explicit FailingCloses(const std::filesystem::path& folder);
  ~FailingCloses();
  FailingCloses(const FailingCloses&) = delete;
  FailingCloses& operator=(const FailingCloses&) = delete;
};

}  // namespace zipmodule::test
