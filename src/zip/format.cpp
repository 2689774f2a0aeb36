#include "zip/format.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

namespace zipmodule::zip {
namespace {

constexpr std::uint16_t k_made_by_unix_63 = (3U << 8U) | 63;  // 4.4.2: Unix, version 6.3
constexpr std::uint16_t k_version_stored = 10;                // 4.4.3.2
constexpr std::uint16_t k_version_deflate_or_directory = 20;
constexpr std::uint16_t k_version_zip64 = 45;

constexpr std::size_t k_extra_alignment_least = 4 + 2;
constexpr std::size_t k_extra_timestamp_size = 4 + 5;
constexpr std::size_t k_extra_ntfs_size = 4 + 4 + 4 + 24;
constexpr std::size_t k_extra_zip64_local_size = 4 + 16;

constexpr std::uint32_t k_regular_file = 0100000;
constexpr std::uint32_t k_directory = 0040000;
constexpr std::uint32_t k_dos_directory = 0x10;

// Rounded down also before 1970: the second a time lies in must not depend on the unit it is written in.
std::int64_t floor_units(TimeNs time, std::int64_t unit) noexcept {
  return time >= 0 ? time / unit : -((-(time + 1)) / unit) - 1;
}

// Which extra field holds the time, the same in both headers. The extended timestamp holds what every reader takes
// alike: `jar xf` ends at a negative one, and many show 2038 for one that was clamped, even beside NTFS's.
enum class TimeField { none, timestamp, ntfs };

TimeField time_field(TimeNs mtime) noexcept {
  const auto seconds = floor_seconds(mtime);
  if (seconds < 0) return TimeField::none;
  return seconds <= std::numeric_limits<std::int32_t>::max() ? TimeField::timestamp : TimeField::ntfs;
}

class Appender {
 public:
  explicit Appender(std::byte* at) : at_(at) {}
  void u8(std::uint64_t value) { put(value, 1); }
  void u16(std::uint64_t value) { put(value, 2); }
  void u32(std::uint64_t value) { put(value, 4); }
  void u64(std::uint64_t value) { put(value, 8); }
  void bytes(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

 private:
  void put(std::uint64_t value, unsigned count) {
    for (unsigned i = 0; i < count; ++i) *at_++ = static_cast<std::byte>(value >> (8 * i));
  }
  std::byte* at_;
};

bool is_ascii(std::string_view name) noexcept {
  return std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::uint16_t flags_of(const EntryView& entry) noexcept {
  return is_ascii(entry.name) ? std::uint16_t{0} : k_flag_utf8;
}

bool sizes_need_zip64(std::uint64_t size, std::uint64_t compressed) noexcept {
  return size >= k_zip64_size || compressed >= k_zip64_size;
}

std::uint16_t version_needed(const EntryView& entry, const Written& written) noexcept {
  if (needs_zip64(entry, written)) return k_version_zip64;
  return written.method == Method::deflated || entry.directory ? k_version_deflate_or_directory : k_version_stored;
}

std::size_t times_size(TimeNs mtime) noexcept {
  switch (time_field(mtime)) {
    case TimeField::none:
      return 0;
    case TimeField::timestamp:
      return k_extra_timestamp_size;
    case TimeField::ntfs:
      return k_extra_ntfs_size;
  }
  return 0;
}

void put_times(Appender& out, TimeNs mtime) {
  const TimeField field = time_field(mtime);
  if (field == TimeField::timestamp) {
    out.u16(k_extra_timestamp);
    out.u16(5);
    out.u8(1);  // only the modification time follows
    out.u32(static_cast<std::uint32_t>(floor_seconds(mtime)));
  }
  if (field != TimeField::ntfs) return;
  const auto units = static_cast<std::uint64_t>(floor_units(mtime, 100) + k_ntfs_epoch);
  out.u16(k_extra_ntfs);
  out.u16(k_extra_ntfs_size - 4);
  out.u32(0);
  out.u16(1);  // attribute 1: mtime, atime, ctime
  out.u16(24);
  for (int i = 0; i < 3; ++i) out.u64(units);
}

void put_padding(Appender& out, std::size_t bytes) {
  if (bytes == 0) return;
  out.u16(k_extra_alignment);
  out.u16(bytes - 4);
  out.u16(k_block_bytes);
  for (std::size_t i = k_extra_alignment_least; i < bytes; ++i) out.u8(0);
}

}  // namespace

std::uint16_t load16(const std::byte* p) noexcept {
  return static_cast<std::uint16_t>(static_cast<unsigned>(p[0]) | static_cast<unsigned>(p[1]) << 8U);
}

std::uint32_t load32(const std::byte* p) noexcept {
  return load16(p) | static_cast<std::uint32_t>(load16(p + 2)) << 16U;
}

std::uint64_t load64(const std::byte* p) noexcept {
  return load32(p) | static_cast<std::uint64_t>(load32(p + 4)) << 32U;
}

std::uint32_t to_dos_time(TimeNs mtime) noexcept {
  using namespace std::chrono;
  const sys_seconds time{seconds(floor_seconds(mtime))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  if (date.year() < year(1980)) return (1U << 21U | 1U << 16U);  // 1980-01-01 00:00:00
  if (date.year() > year(2107)) return 0xFF9FBF7D;               // 2107-12-31 23:59:58
  const hh_mm_ss clock(time - day);
  const auto dos_date = static_cast<std::uint32_t>(static_cast<int>(date.year()) - 1980) << 9U |
                        static_cast<unsigned>(date.month()) << 5U | static_cast<unsigned>(date.day());
  const auto dos_clock = static_cast<std::uint32_t>(clock.hours().count()) << 11U |
                         static_cast<std::uint32_t>(clock.minutes().count()) << 5U |
                         static_cast<std::uint32_t>(clock.seconds().count()) / 2;
  return dos_date << 16U | dos_clock;
}

TimeNs from_dos_time(std::uint32_t dos) noexcept {
  using namespace std::chrono;
  const year_month_day date(year(1980 + static_cast<int>(dos >> 25U)), month((dos >> 21U) & 15U),
                            day((dos >> 16U) & 31U));
  const sys_days midnight = date.ok() ? sys_days(date) : sys_days(year(1980) / 1 / 1);
  const auto time = midnight + hours((dos >> 11U) & 31U) + minutes((dos >> 5U) & 63U) + seconds((dos & 31U) * 2);
  return duration_cast<nanoseconds>(time.time_since_epoch()).count();
}

std::int64_t recorded_seconds(TimeNs mtime) noexcept {
  return floor_seconds(time_field(mtime) == TimeField::none ? from_dos_time(to_dos_time(mtime)) : mtime);
}

bool needs_zip64(const EntryView& entry, const Written& written) noexcept {
  return sizes_need_zip64(entry.size_bytes, written.compressed_bytes) || written.offset >= k_zip64_size;
}

std::size_t local_header_size(const EntryView& entry) noexcept {
  // A deflated entry is smaller than its source or it is stored, so the source's size alone decides about zip64.
  return k_local_size + entry.name.size() + (entry.size_bytes >= k_zip64_size ? k_extra_zip64_local_size : 0) +
         times_size(entry.mtime);
}

std::size_t padding_at(std::uint64_t end) noexcept {
  const auto missing = static_cast<std::size_t>((k_block_bytes - end % k_block_bytes) % k_block_bytes);
  return missing == 0 || missing >= k_extra_alignment_least ? missing : missing + k_block_bytes;
}

void encode_local_header(const EntryView& entry, const Written& written, std::span<std::byte> out) {
  const bool zip64 = sizes_need_zip64(entry.size_bytes, written.compressed_bytes);
  const std::size_t extra = out.size() - k_local_size - entry.name.size();
  Appender put(out.data());
  put.u32(k_local_signature);
  put.u16(version_needed(entry, written));
  put.u16(flags_of(entry));
  put.u16(static_cast<std::uint16_t>(written.method));
  put.u32(to_dos_time(entry.mtime));
  put.u32(written.crc);
  put.u32(zip64 ? k_zip64_size : written.compressed_bytes);
  put.u32(zip64 ? k_zip64_size : entry.size_bytes);
  put.u16(entry.name.size());
  put.u16(extra);
  put.bytes(entry.name);
  if (zip64) {
    put.u16(k_extra_zip64);
    put.u16(16);
    put.u64(entry.size_bytes);
    put.u64(written.compressed_bytes);
  }
  put_times(put, entry.mtime);
  put_padding(put, out.size() - local_header_size(entry));
}

void append_central_record(const EntryView& entry, const Written& written, std::vector<std::byte>& out) {
  const bool big_size = entry.size_bytes >= k_zip64_size;
  const bool big_compressed = written.compressed_bytes >= k_zip64_size;
  const bool big_offset = written.offset >= k_zip64_size;
  const std::size_t zip64_data = 8U * (static_cast<std::size_t>(big_size) + static_cast<std::size_t>(big_compressed) +
                                       static_cast<std::size_t>(big_offset));
  const std::size_t extra = (zip64_data > 0 ? 4 + zip64_data : 0) + times_size(entry.mtime) + written.padding;
  const std::uint32_t mode =
      entry.directory ? (k_directory | 0755) : (k_regular_file | (entry.executable ? 0755U : 0644U));
  const std::size_t begin = out.size();
  out.resize(begin + k_central_size + entry.name.size() + extra);
  Appender put(out.data() + begin);
  put.u32(k_central_signature);
  put.u16(k_made_by_unix_63);
  put.u16(version_needed(entry, written));
  put.u16(flags_of(entry));
  put.u16(static_cast<std::uint16_t>(written.method));
  put.u32(to_dos_time(entry.mtime));
  put.u32(written.crc);
  put.u32(big_compressed ? k_zip64_size : written.compressed_bytes);
  put.u32(big_size ? k_zip64_size : entry.size_bytes);
  put.u16(entry.name.size());
  put.u16(extra);
  put.u16(0);  // comment
  put.u16(0);  // disk
  put.u16(0);  // internal attributes
  put.u32(mode << 16U | (entry.directory ? k_dos_directory : 0));
  put.u32(big_offset ? k_zip64_size : written.offset);
  put.bytes(entry.name);
  if (zip64_data > 0) {
    put.u16(k_extra_zip64);
    put.u16(zip64_data);
    if (big_size) put.u64(entry.size_bytes);
    if (big_compressed) put.u64(written.compressed_bytes);
    if (big_offset) put.u64(written.offset);
  }
  put_times(put, entry.mtime);
  put_padding(put, written.padding);
}

void append_end_records(std::uint64_t entries, std::uint64_t central_offset, std::uint64_t central_bytes,
                        bool any_zip64, std::vector<std::byte>& out) {
  const bool zip64 =
      any_zip64 || entries >= k_zip64_count || central_offset >= k_zip64_size || central_bytes >= k_zip64_size;
  const std::size_t begin = out.size();
  out.resize(begin + (zip64 ? k_end64_size + k_locator64_size : 0) + k_end_size);
  Appender put(out.data() + begin);
  if (zip64) {
    put.u32(k_end64_signature);
    put.u64(k_end64_size - 12);
    put.u16(k_made_by_unix_63);
    put.u16(k_version_zip64);
    put.u32(0);
    put.u32(0);
    put.u64(entries);
    put.u64(entries);
    put.u64(central_bytes);
    put.u64(central_offset);
    put.u32(k_locator64_signature);
    put.u32(0);
    put.u64(central_offset + central_bytes);
    put.u32(1);
  }
  put.u32(k_end_signature);
  put.u16(0);
  put.u16(0);
  put.u16(std::min(entries, k_zip64_count));
  put.u16(std::min(entries, k_zip64_count));
  put.u32(std::min(central_bytes, k_zip64_size));
  // A reader in strict mode (zip.js) wants a field that sends it to zip64, also where all of them would fit.
  put.u32(zip64 ? k_zip64_size : central_offset);
  put.u16(0);
}

}  // namespace zipmodule::zip
