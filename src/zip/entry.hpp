// What goes into an archive: the entries in their order, and where their bytes come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>

#include "base/fetchers.hpp"

namespace zipmodule::zip {

// Nanoseconds since 1970-01-01 UTC.
using TimeNs = std::int64_t;

// The second a time lies in, rounded down also before 1970.
constexpr std::int64_t floor_seconds(TimeNs time) noexcept {
  constexpr std::int64_t k_second = 1'000'000'000;
  return time / k_second - (time % k_second < 0 ? 1 : 0);
}

enum class Method : std::uint16_t { stored = 0, deflated = 8 };  // APPNOTE 4.4.5

// One entry of the plan. `name` stays valid as long as the list it comes from.
struct EntryView {
  std::string_view name;  // valid UTF-8 by names.hpp; directories end in '/'
  std::uint64_t size_bytes = 0;
  TimeNs mtime = 0;
  bool directory = false;
  bool executable = false;
};

// The plan, in archive order. Constant while an archive is written; at() is called from many threads.
class EntryList {
 public:
  virtual ~EntryList() = default;
  virtual std::size_t size() const noexcept = 0;
  virtual EntryView at(std::size_t index) const = 0;
};

// Where bytes lie in an open file of this host, so that the kernel can copy or share them.
struct FileRange {
  int fd = -1;  // not owned
  std::uint64_t offset = 0;
  std::string_view path;  // for messages
};

// One opened source. read_at may be called from many threads.
class EntryReader {
 public:
  virtual ~EntryReader() = default;
  // Fills `buffer` from `offset`; fewer bytes only at the end of the source. Throws Error{io, source_changed}.
  virtual std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) = 0;
  // Called after the last read: throws Error{source_changed} if the source is not what it was when it was opened.
  virtual void require_unchanged() = 0;
  // The bytes' place where they are a plain file's; valid as long as the reader.
  virtual std::optional<FileRange> file_range() const { return std::nullopt; }
  // Whether every change from now on would be seen by require_unchanged: false for a file that was written to so lately
  // that its times might not move. Blocks are shared with settled files only, because their CRC is taken from the source.
  virtual bool settled() const { return false; }
};

// An entry's data as another archive holds it, to be copied without decoding and encoding it again.
struct RawData {
  std::unique_ptr<EntryReader> reader;  // of the compressed bytes, from 0
  std::uint64_t compressed_bytes = 0;
  std::uint32_t crc = 0;
  Method method = Method::stored;
  // The bytes just before reader's file_range() are the very local header that the writer would make (but for 'version
  // needed', which depends on the entry's new place): entries that lie one behind the other are copied in one go.
  bool header_too = false;
  // Run by a thread of the pool while the archive is written, where set; throws what makes the data unfit, and
  // Error{stopped} where it is asked to stop.
  std::function<void(const std::stop_token&)> check{};
  std::uint64_t check_bytes = 0;  // the most that check() holds in memory, beside buffers of fixed size
};

// Opens sources by entry index; called from many threads. Throws Error{source_...} naming the source.
class Content {
 public:
  virtual ~Content() = default;
  virtual std::unique_ptr<EntryReader> open(std::size_t index) = 0;
  // The entry's data where an older archive has it already: nullopt, and open() is used. What is handed out must decode to
  // the plan's size and have this CRC; the writer does not look. Called by the thread that plans, once for each entry that
  // has data, in order.
  virtual std::optional<RawData> raw(std::size_t /*index*/) { return std::nullopt; }
  // Who waits for the entry's bytes, where reading them means waiting for another machine; null, and whoever compresses them
  // reads them. Called by the thread that plans; the same for every call.
  virtual Fetchers* fetchers(std::size_t /*index*/) { return nullptr; }
};

}  // namespace zipmodule::zip
