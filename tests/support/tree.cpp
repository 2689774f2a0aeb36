#include "support/tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <stdexcept>

#include "base/error.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error(path.string() + ": " + errno_text(errno));
  return status;
}

// More complaints than this help nobody.
constexpr std::size_t k_most_complaints = 20;

}  // namespace

void write_file(const fs::path& path, const std::string& content, std::optional<std::int64_t> mtime) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw std::runtime_error("write " + path.string());
  if (mtime) set_mtime(path, *mtime);
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("read " + path.string());
  std::string content(fs::file_size(path), '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file) throw std::runtime_error("read " + path.string());
  return content;
}

void set_mtime(const fs::path& path, std::int64_t seconds, long nanoseconds) {
  const timespec time{seconds, nanoseconds};
  const std::array<timespec, 2> times{time, time};
  if (::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) != 0) {
    throw std::runtime_error("utimensat " + path.string() + ": " + errno_text(errno));
  }
}

std::string wordy_text(std::size_t size_bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::string> words(4096);
  for (auto& word : words) {
    word.resize(2 + random() % 9);
    for (auto& letter : word) letter = static_cast<char>('a' + random() % 26);
    word += ' ';
  }
  std::string text;
  text.reserve(size_bytes + 16);
  while (text.size() < size_bytes) text += words[random() % words.size()];
  text.resize(size_bytes);
  return text;
}

std::string random_bytes(std::size_t size_bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes;
  bytes.reserve(size_bytes + 8);
  while (bytes.size() < size_bytes) {
    std::uint64_t value = random();
    for (int i = 0; i < 8; ++i, value >>= 8U) bytes += static_cast<char>(value & 0xFFU);
  }
  bytes.resize(size_bytes);
  return bytes;
}

std::vector<std::string> listing(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const bool folder = entry.is_directory() && !entry.is_symlink();
    names.push_back(entry.path().lexically_relative(root).string() + (folder ? "/" : ""));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> differences(const fs::path& expected, const fs::path& actual, const TreeComparison& what) {
  std::vector<std::string> found;
  const auto wanted = listing(expected);
  const auto got = listing(actual);
  std::vector<std::string> missing, surplus, common;
  std::set_difference(wanted.begin(), wanted.end(), got.begin(), got.end(), std::back_inserter(missing));
  std::set_difference(got.begin(), got.end(), wanted.begin(), wanted.end(), std::back_inserter(surplus));
  std::set_intersection(wanted.begin(), wanted.end(), got.begin(), got.end(), std::back_inserter(common));
  for (const auto& name : missing) found.push_back("missing: " + name);
  for (const auto& name : surplus) found.push_back("not expected: " + name);
  for (const auto& name : common) {
    if (found.size() >= k_most_complaints) break;
    if (name.back() == '/') continue;
    const auto left = status_of(expected / name);
    const auto right = status_of(actual / name);
    if (!S_ISREG(right.st_mode)) {
      found.push_back("not a regular file: " + name);
      continue;
    }
    if (left.st_size != right.st_size || read_file(expected / name) != read_file(actual / name)) {
      found.push_back(fmt::format("other bytes: {} ({} for {})", name, right.st_size, left.st_size));
    }
    if (what.times && left.st_mtim.tv_sec != right.st_mtim.tv_sec) {
      found.push_back(fmt::format("other time: {} ({} for {})", name, right.st_mtim.tv_sec, left.st_mtim.tv_sec));
    }
    const unsigned mode = (left.st_mode & 0100U) != 0 ? 0755 : 0644;
    if (what.modes && (right.st_mode & 07777U) != mode) {
      found.push_back(fmt::format("other mode: {} ({:o} for {:o})", name, right.st_mode & 07777U, mode));
    }
  }
  if (found.size() > k_most_complaints) found.resize(k_most_complaints);
  return found;
}

}  // namespace zipmodule::test
