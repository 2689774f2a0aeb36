// Reads that fail as those of a broken disk do.
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

}  // namespace zipmodule::test
