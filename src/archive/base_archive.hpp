// An older archive whose unchanged entries are copied instead of made again.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "archive/plan.hpp"
#include "archive/source_record.hpp"
#include "base/fd.hpp"
#include "zip/entry.hpp"
#include "zip/reader.hpp"

namespace zipmodule::archive {

// Which entries' data is read again, and compared with its CRC, while it is copied. One in 32 with `sample`.
enum class VerifyReuse { never, sample, always };
std::optional<VerifyReuse> parse_verify_reuse(std::string_view text) noexcept;

// The content of a plan, where unchanged entries are taken from the base. With a record of its sources, an entry is
// unchanged when its source's version is the recorded one, whatever its name was; without, when name, size and
// modification time (to the second, as archives hold it) are the same. An entry is not taken where its name occurs
// twice in a base without a record, nor where its time is before 1970, which archives don't hold.
//
// The base is untrusted: its structure is checked when it is opened, the local header of every entry before it is
// copied, data as VerifyReuse says. Entries that another program wrote are always decoded, and are not taken where
// Windows could not read them. Takes 64 bytes an entry of the base. Must not outlive plan and content. raw() is for one
// thread, open() for many.
class BaseArchive final : public zip::Content {
 public:
  // Throws Error{io, open_files} where it can't be opened, Error{corrupt} where it can't be read, its structure is
  // broken or the record is of another archive.
  BaseArchive(const std::string& path, std::optional<SourceRecord> record, Plan& plan, zip::Content& content,
              VerifyReuse verify);

  std::unique_ptr<zip::EntryReader> open(std::size_t index) override { return content_.open(index); }
  Fetchers* fetchers(std::size_t index) override { return content_.fetchers(index); }
  // Throws Error{corrupt} where the base contradicts itself or can't be read; so do the reader and the check that it
  // hands out.
  std::optional<zip::RawData> raw(std::size_t index) override;

  // Whether the base holds exactly the plan's entries, in its order, all of them unchanged. Only known with a record.
  bool identical() const noexcept { return identical_; }
  // Only with a record.
  const RecordedBuild& record() const noexcept { return record_->build(); }
  // The base itself, to look at further.
  const zip::ArchiveFile& file() const noexcept { return file_; }
  std::uint64_t entries() const noexcept { return entries_; }
  const std::string& fingerprint() const noexcept { return fingerprint_; }

  // How many files (not folders) came from the base; one that was asked for again in a second pass counts once.
  std::uint64_t reused() const noexcept;

 private:
  struct Known {
    std::uint64_t offset = 0;  // of the local header
    std::uint64_t compressed_bytes = 0;
    std::uint64_t size_bytes = 0;
    std::int64_t mtime_seconds = 0;
    std::uint32_t crc = 0;
    std::uint32_t number = 0;  // in the base's order
    zip::Method method = zip::Method::stored;
    std::uint16_t flags = 0;
  };
  // In place of an index: an entry that can't be copied, whose name counts all the same.
  static constexpr std::uint32_t k_unfit = std::numeric_limits<std::uint32_t>::max();
  struct Key {
    std::uint64_t hash = 0;   // of the name, or Version::file
    std::uint32_t known = 0;  // in known_, or k_unfit
    bool operator<(const Key& other) const noexcept {
      return hash != other.hash ? hash < other.hash : known < other.known;
    }
  };

  void load();
  void forget_repeated_names();
  void note(const zip::CentralRecord& record, std::uint64_t number, std::uint64_t central_offset);
  bool same_as_planned(const zip::CentralRecord& record, std::uint64_t number);
  const Known* find(std::size_t index);
  bool matches(const Known& known, std::size_t index, const std::optional<storage::Version>& version);
  // Whose local header it is: the one that the writer would make for this entry at that place, the same made longer so
  // that the data is aligned, or any other that agrees with the central directory.
  enum class Header { ours, ours_aligned, other };
  struct Place {
    std::uint64_t data = 0;  // where the entry's data begins
    Header header = Header::other;
  };
  bool has_header(std::uint64_t offset, const std::vector<std::byte>& expected) const;
  std::optional<Place> place_of(const Known& known, const zip::EntryView& entry) const;
  std::function<void(const std::stop_token&)> check_of(const Known& known, const zip::EntryView& entry,
                                                       std::uint64_t data) const;
  static bool is_checked_for_windows(const Known& known) noexcept;
  bool must_check(std::size_t index, const Known& known, bool foreign) const noexcept;

  Plan& plan_;
  zip::Content& content_;
  const VerifyReuse verify_;
  Fd fd_;
  zip::ArchiveFile file_;
  struct stat opened_ {};  // as the file was before anything of it was read
  // Without a record: sources of an older mtime alone, in ns, are recognised by their size and time.
  std::int64_t recognised_before_ = 0;
  std::optional<SourceRecord> record_;
  std::vector<Known> known_;
  std::vector<Key> keys_;  // sorted
  std::uint64_t data_end_ = 0;
  std::uint64_t entries_ = 0;
  std::string fingerprint_;
  bool identical_ = false;
  std::vector<bool> reused_;  // by entry of the plan
};

}  // namespace zipmodule::archive
