// Any bytes as an archive, through everything that reads archives: no crash, no hang, bounded memory, no error but
// 'corrupt'; and what is called whole can be read.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/thread_pool.hpp"
#include "finding.hpp"
#include "zip/crc.hpp"
#include "zip/end_record.hpp"
#include "zip/entry_data.hpp"
#include "zip/entry_text.hpp"
#include "zip/memory_archive.hpp"
#include "zip/names.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::ArchiveFile;
using zip::bytes_of;
using zip::CentralRecord;
using zip::EndRecord;

// Records may all point at the same megabyte of a small file: this target decodes few of them. verify_archive must know
// by itself.
constexpr std::size_t k_decoded_records_most = 8;
// require_portable is for entries that fit in memory.
constexpr std::uint64_t k_portable_most = std::uint64_t{1} << 20U;

// The one error that reading may end with.
template <class Read>
bool reads(Read read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::corrupt) finding(fmt::format("{}: {}", error.code(), error.what()));
    return false;
  }
}

// As a name that may stand in an archive has to be, whatever else is wrong with it.
bool utf8_is_valid(const std::string& text) { return zip::name_problem("x" + text).value_or("") != "is not UTF-8"; }

// From the last part to the first: each has to stand for itself.
bool whole_in_parts(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data) {
  zip::PartedEntry entry(file, record, data);
  bool whole = true;
  for (std::size_t part = entry.parts(); part-- > 0;) whole = reads([&] { entry.verify(part, {}); }) && whole;
  return whole;
}

void read_entry(const ArchiveFile& file, const CentralRecord& record) {
  std::uint64_t data = record.offset;
  if (reads([&] { data = zip::read_local_header(file, record); })) {
    const auto named = zip::read_named_header(file, record);
    require(named.data_offset == data && named.name == record.name, "two readings of a local header differ");
  }
  reads([&] { zip::read_named_header(file, record); });
  require(data <= file.size_bytes, "a local header reaches past the file's end");
  // Also where the local header is broken: nobody promises that it was looked at before.
  reads([&] { zip::end_of_entry(file, record, data); });
  const bool small = record.size_bytes <= k_portable_most;
  const bool whole = reads([&] { zip::verify_data(file, record, data, {}); });
  if (zip::PartedEntry::is_worth_it(record))
    require(whole_in_parts(file, record, data) == whole, "parts judge otherwise");
  if (whole && small) {
    reads([&] { zip::require_portable(file, record, data); });
  }
}

// The number of records, or nothing where one of them is broken.
std::optional<std::uint64_t> read_records(const ArchiveFile& file) {
  std::uint64_t count = 0;
  const bool whole = reads([&] {
    const EndRecord end = zip::read_end_record(file);
    require(end.central_offset + end.central_bytes <= file.size_bytes, "the central directory lies outside the file");
    zip::CentralDirectory directory(file, end);
    while (const auto record = directory.next()) {
      if (++count <= k_decoded_records_most) read_entry(file, *record);
    }
    require(count == end.entries, "another number of records than the end record says");
    require(directory.fingerprint().size() == 64, "a fingerprint is no SHA-256");
  });
  return whole ? std::optional(count) : std::nullopt;
}

// As inspect lists anyone's archive: also one with bytes around it, or a part of a split one.
void read_texts(const ArchiveFile& file) {
  reads([&] {
    const zip::ArchiveEnd found = zip::locate_end(file);
    require(found.end.has_value() || !found.findings.empty(), "an archive without end and without a reason");
    if (!found.end) return;
    require(found.end->central_offset + found.end->central_bytes <= file.size_bytes, "the list lies outside the file");
    zip::CentralDirectory directory(file, *found.end);
    while (const auto record = directory.next()) {
      require(utf8_is_valid(zip::name_of(*record).text), "a name's text is not UTF-8");
      require(utf8_is_valid(zip::comment_of(*record).text), "a comment's text is not UTF-8");
    }
  });
}

void require_readable(const ArchiveFile& file) {
  std::uint64_t end_of_last = 0;
  auto records = zip::records_of(file);
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  for (const CentralRecord& record : records) {
    require(record.offset >= end_of_last, "entries of a whole archive overlap");
    end_of_last = zip::read_local_header(file, record) + record.compressed_bytes;
    require(!zip::name_problem(record.name), "a whole archive has a name that may not stand in one");
    const std::string data = zip::data_of(file, record);
    require(data.size() == record.size_bytes, "an entry of a whole archive has another size");
    require(zip::crc32(0, bytes_of(data)) == record.crc, "an entry of a whole archive has another CRC");
  }
}

}  // namespace
}  // namespace zipmodule::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace zipmodule;
  static ThreadPool pool(2);
  const zip::MemoryFile memory(zip::text_of(std::as_bytes(std::span(bytes, size))));
  const zip::ArchiveFile file = memory.archive();
  const auto records = fuzz::read_records(file);
  const auto report = zip::verify_archive(file, pool, {});
  fuzz::require(report.findings.size() <= 100, "a report without bounds");
  fuzz::require(records.has_value() || !report.ok(), "no problem is told of an archive that can't be read");
  fuzz::require(report.unread <= report.entries, "more entries unread than there are");
  fuzz::read_texts(file);
  if (!report.ok()) return 0;
  fuzz::require(report.entries == *records, "a whole archive has another number of entries");
  fuzz::require(report.fingerprint.size() == 64, "a whole archive has no fingerprint");
  fuzz::require_readable(file);
  return 0;
}
