#include "archive/source_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/error.hpp"
#include "zip/crc.hpp"
#include "zip/format.hpp"

namespace zipmodule::archive {
namespace {

constexpr std::array<char, 8> k_magic{'z', 'm', 's', 'r', 'c', 0, 0, 2};
constexpr std::size_t k_fingerprint_bytes = 32;
constexpr std::size_t k_header_bytes = 8 + 8 + 8 + 8 + k_fingerprint_bytes;
constexpr std::size_t k_entry_bytes = std::size_t{2} * 8;
constexpr std::size_t k_crc_bytes = 4;
constexpr std::size_t k_mounts_bytes_at = 12;  // in the header
constexpr std::uint64_t k_block_entries = 1'024;

void put(std::vector<std::byte>& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

std::vector<std::byte> encode_header(const RecordedBuild& build, std::size_t mounts_bytes) {
  std::vector<std::byte> out;
  out.reserve(k_header_bytes);
  for (const char c : k_magic) out.push_back(static_cast<std::byte>(c));
  put(out, static_cast<std::uint64_t>(build.level), 1);
  put(out, build.aligned ? 1 : 0, 1);
  put(out, 0, 2);
  put(out, mounts_bytes, 4);
  put(out, build.entries, 8);
  put(out, build.size_bytes, 8);
  for (std::size_t i = 0; i < k_fingerprint_bytes; ++i) {
    put(out, std::stoul(build.fingerprint.substr(2 * i, 2), nullptr, 16), 1);
  }
  return out;
}

// By another version of this program, older or newer.
bool is_of_other_format(std::span<const std::byte> header) {
  constexpr std::size_t k_name_bytes = k_magic.size() - 1;
  return std::memcmp(header.data(), k_magic.data(), k_name_bytes) == 0 &&
         header[k_name_bytes] != static_cast<std::byte>(k_magic.back());
}

std::optional<RecordedBuild> decode_header(std::span<const std::byte> header) {
  if (std::memcmp(header.data(), k_magic.data(), k_magic.size()) != 0) return std::nullopt;
  RecordedBuild build;
  if (std::to_integer<unsigned>(header[8]) > static_cast<unsigned>(zip::Level::small)) return std::nullopt;
  build.level = static_cast<zip::Level>(header[8]);
  build.aligned = header[9] != std::byte{0};
  build.entries = zip::load64(header.data() + 16);
  build.size_bytes = zip::load64(header.data() + 24);
  for (const std::byte byte : header.subspan(32, k_fingerprint_bytes)) {
    build.fingerprint += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  }
  return build;
}

void put_entry(std::vector<std::byte>& out, const storage::Version& version) {
  put(out, version.file, 8);
  put(out, version.state, 8);
}

std::string text_of(const std::vector<MountPoint>& mounts) {
  std::string text;
  for (const MountPoint& mount : mounts) text += mount.root + ':' + mount.path + '\0';
  return text;
}

Error damaged(const std::string& path) { return {ErrorKind::corrupt, fmt::format("{} is damaged", path)}; }

}  // namespace

void write_source_record(const std::string& path, const RecordedBuild& build, const Plan& plan) {
  // An older one, or whatever else lies there, is not written into: a reader may have it open, and a FIFO would wait.
  ::unlink(path.c_str());
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
  if (!fd) throw store_error(errno, "create " + path);
  const std::string mounts = text_of(plan.mounts());
  std::vector<std::byte> block = encode_header(build, mounts.size());
  std::uint32_t crc = 0;
  std::uint64_t at = 0;
  const auto flush = [&] {
    if (!pwrite_full(fd.get(), block, at)) throw store_error(errno, "write " + path);
    at += block.size();
    block.clear();
  };
  for (std::size_t i = 0; i < plan.size(); ++i) {
    put_entry(block, plan.settled(i) ? plan.version(i).value_or(storage::Version{}) : storage::Version{});
    if (block.size() < k_block_entries * k_entry_bytes) continue;
    crc = zip::crc32(crc, block);
    flush();
  }
  for (const char c : mounts) block.push_back(static_cast<std::byte>(c));
  crc = zip::crc32(crc, block);
  put(block, crc, k_crc_bytes);
  flush();
}

std::optional<SourceRecord> SourceRecord::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) throw Error(ErrorKind::io, fmt::format("open {}: {}", path, errno_text(errno)));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw Error(ErrorKind::io, fmt::format("stat {}: {}", path, errno_text(errno)));
  std::array<std::byte, k_header_bytes> header{};
  if (!S_ISREG(status.st_mode) || pread_full(fd.get(), header, 0) != static_cast<ssize_t>(header.size())) {
    throw damaged(path);
  }
  if (is_of_other_format(header)) return std::nullopt;
  auto build = decode_header(header);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t mounts_bytes = zip::load32(header.data() + k_mounts_bytes_at);
  if (!build || build->entries > size / k_entry_bytes ||
      size != k_header_bytes + build->entries * k_entry_bytes + mounts_bytes + k_crc_bytes) {
    throw damaged(path);
  }
  SourceRecord record(std::move(fd), path, std::move(*build));
  record.require_crc(size - k_crc_bytes);
  record.read_mounts(mounts_bytes);
  return record;
}

void SourceRecord::read_mounts(std::uint64_t bytes) {
  std::string text(static_cast<std::size_t>(bytes), '\0');
  const std::uint64_t at = k_header_bytes + build_.entries * k_entry_bytes;
  if (pread_full(fd_.get(), std::as_writable_bytes(std::span(text)), at) != static_cast<ssize_t>(text.size())) {
    throw damaged(path_);
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\0', begin), text.size());
    const auto colon = std::min(text.find(':', begin), end);
    mounts_.push_back(
        {text.substr(begin, colon - begin), text.substr(std::min(colon + 1, end), end - std::min(colon + 1, end))});
    begin = end + 1;
  }
}

void SourceRecord::require_crc(std::uint64_t bytes) {
  std::vector<std::byte> buffer(k_block_entries * k_entry_bytes);
  std::uint64_t left = bytes;
  std::uint64_t at = 0;
  std::uint32_t crc = 0;
  while (left > 0) {
    const auto step = std::span(buffer).first(std::min<std::uint64_t>(left, buffer.size()));
    if (pread_full(fd_.get(), step, at) != static_cast<ssize_t>(step.size())) throw damaged(path_);
    crc = zip::crc32(crc, step);
    at += step.size();
    left -= step.size();
  }
  std::array<std::byte, k_crc_bytes> stored{};
  if (pread_full(fd_.get(), stored, at) != static_cast<ssize_t>(stored.size()) || zip::load32(stored.data()) != crc) {
    throw damaged(path_);
  }
}

std::optional<storage::Version> SourceRecord::at(std::uint64_t entry) {
  if (entry >= build_.entries) return std::nullopt;
  if (entry < block_first_ || entry >= block_first_ + block_.size() / k_entry_bytes) {
    block_first_ = entry - entry % k_block_entries;
    block_.resize(static_cast<std::size_t>(std::min(k_block_entries, build_.entries - block_first_)) * k_entry_bytes);
    const std::uint64_t offset = k_header_bytes + block_first_ * k_entry_bytes;
    if (pread_full(fd_.get(), block_, offset) != static_cast<ssize_t>(block_.size())) throw damaged(path_);
  }
  const std::byte* p = block_.data() + (entry - block_first_) * k_entry_bytes;
  const storage::Version version{zip::load64(p), zip::load64(p + 8)};
  if (version == storage::Version{}) return std::nullopt;
  return version;
}

}  // namespace zipmodule::archive
