// Files for tests: making them, reading them, and telling two directories apart.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace zipmodule::test {

// Makes the folders above it. `mtime`: seconds since 1970.
void write_file(const std::filesystem::path& path, const std::string& content,
                std::optional<std::int64_t> mtime = std::nullopt);
std::string read_file(const std::filesystem::path& path);
void set_mtime(const std::filesystem::path& path, std::int64_t seconds, long nanoseconds = 0);

// Deterministic bytes: words that deflate to about a third, slowly; and bytes that don't deflate at all.
std::string wordy_text(std::size_t size_bytes, std::uint64_t seed = 1);
std::string random_bytes(std::size_t size_bytes, std::uint64_t seed = 1);

struct TreeComparison {
  bool times = true;  // of files, in whole seconds
  bool modes = true;  // of files: 0755 where the expected one is executable by its owner, else 0644
};

// What differs, one sentence each; empty when both hold the same names, kinds and bytes.
std::vector<std::string> differences(const std::filesystem::path& expected, const std::filesystem::path& actual,
                                     const TreeComparison& what);

// Paths of all files below, relative, sorted; folders end in '/'.
std::vector<std::string> listing(const std::filesystem::path& root);

}  // namespace zipmodule::test
