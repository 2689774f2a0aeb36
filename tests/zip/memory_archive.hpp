// Archives in memory: plans made of strings, written and read back without a file system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "zip/entry.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"
#include "zip/writer.hpp"

namespace zipmodule::zip {

inline constexpr TimeNs k_mtime = 1'600'000'001'000'000'000;  // odd: DOS time can't hold it exactly

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct MemoryEntry {
  std::string name;
  std::string data;
  TimeNs mtime = k_mtime;
  bool directory = false;
  bool executable = false;
};

// A plan and its content. Constant while it is used.
class MemoryContent : public EntryList, public Content {
 public:
  explicit MemoryContent(std::vector<MemoryEntry> entries) : entries_(std::move(entries)) {}

  std::size_t size() const noexcept override { return entries_.size(); }
  EntryView at(std::size_t index) const override {
    const MemoryEntry& entry = entries_[index];
    return {entry.name, entry.data.size(), entry.mtime, entry.directory, entry.executable};
  }
  std::unique_ptr<EntryReader> open(std::size_t index) override;

  const std::vector<MemoryEntry>& entries() const noexcept { return entries_; }

 private:
  std::vector<MemoryEntry> entries_;
};

// Reads a string that outlives it.
class TextReader : public EntryReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override;
  void require_unchanged() override {}

 private:
  std::string_view text_;
};

struct WriteSettings {
  Level level = Level::balanced;
  unsigned threads = 2;
  std::uint64_t budget_bytes = 64U << 20U;
  bool allow_empty = false;
  bool align = false;
};

// A file without a name, to write to and read from.
class MemoryFile {
 public:
  MemoryFile();
  explicit MemoryFile(std::string_view content);

  int fd() const noexcept { return fd_.get(); }
  ArchiveFile archive() const { return open_archive(fd_.get(), "memory.zip"); }
  std::string content() const;
  void resize(std::uint64_t size_bytes) const;

 private:
  Fd fd_;
};

WriteResult write_to(int fd, const EntryList& entries, Content& content, const WriteSettings& settings = {},
                     const std::stop_token& stop = {});
// Writes, checks against the plan, and returns the archive.
std::string write_archive_bytes(MemoryContent& content, const WriteSettings& settings = {});
inline std::string write_archive_bytes(std::vector<MemoryEntry> entries, const WriteSettings& settings = {}) {
  MemoryContent content(std::move(entries));
  return write_archive_bytes(content, settings);
}

// What the central directory lists, by our own reader; throws what that throws.
std::vector<CentralRecord> records_of(const ArchiveFile& file);
// The decoded data of a record, by zlib alone, without limits: for archives that are known to be sound.
std::string data_of(const ArchiveFile& file, const CentralRecord& record);

VerifyReport verify_bytes(std::string_view archive);
// A line per finding: "damaged: entry 'a' ...".
std::string problems_of(const VerifyReport& report);

// Raw inflate by zlib of a whole stream; nullopt where it does not end exactly with the stream's last byte.
std::optional<std::string> inflate_raw(std::string_view deflated);

}  // namespace zipmodule::zip
