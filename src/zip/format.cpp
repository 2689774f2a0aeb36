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

constexpr std::uint16_t k_extra_zip64 = 0x0001;      // 4.5.3
constexpr std::uint16_t k_extra_ntfs = 0x000a;       // 4.5.5
constexpr std::uint16_t k_extra_timestamp = 0x5455;  // Info-ZIP extended timestamp
constexpr std::uint16_t k_extra_alignment = 0xD935;  // Android's zipalign: the alignment (16 bits), then zeros
constexpr std::size_t k_extra_alignment_least = 4 + 2;
constexpr std::size_t k_extra_timestamp_size = 4 + 5;
constexpr std::size_t k_extra_ntfs_size = 4 + 4 + 4 + 24;
constexpr std::size_t k_extra_zip64_local_size = 4 + 16;

constexpr std::uint32_t k_regular_file = 0100000;
constexpr std::uint32_t k_directory = 0040000;
constexpr std::uint32_t k_dos_directory = 0x10;

constexpr std::int64_t k_second = 1'000'000'000;
// 100 ns units between 1601-01-01, where NTFS counts from, and 1970-01-01.
constexpr std::int64_t k_ntfs_epoch = 116'444'736'000'000'000;

// Rounded down also before 1970: the second a time lies in must not depend on the unit it is written in.
std::int64_t floor_units(TimeNs time, std::int64_t unit) noexcept {
  return time >= 0 ? time / unit : -((-(time + 1)) / unit) - 1;
}

bool fits_timestamp(TimeNs mtime) noexcept {
  const auto seconds = floor_seconds(mtime);
  return seconds >= std::numeric_limits<std::int32_t>::min() && seconds <= std::numeric_limits<std::int32_t>::max();
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

// The time fields, the same in both headers: seconds clamped to 32 bit for everybody, 100 ns units where those can't
// hold the year.
std::size_t times_size(TimeNs mtime) noexcept {
  return k_extra_timestamp_size + (fits_timestamp(mtime) ? 0 : k_extra_ntfs_size);
}

void put_times(Appender& out, TimeNs mtime) {
  const auto seconds = std::clamp<std::int64_t>(floor_seconds(mtime), std::numeric_limits<std::int32_t>::min(),
                                                std::numeric_limits<std::int32_t>::max());
  out.u16(k_extra_timestamp);
  out.u16(5);
  out.u8(1);  // only the modification time follows
  out.u32(static_cast<std::uint32_t>(seconds));
  if (fits_timestamp(mtime)) return;
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

TimeNs from_ntfs(std::uint64_t units) noexcept {
  // What a 64-bit count of nanoseconds can hold: 1678 to 2262. Anything else in a foreign archive is clamped.
  constexpr std::int64_t k_limit = std::numeric_limits<std::int64_t>::max() / 100;
  const auto since_1970 =
      static_cast<std::int64_t>(std::min<std::uint64_t>(units, std::uint64_t{1} << 62U)) - k_ntfs_epoch;
  return std::clamp(since_1970, -k_limit, k_limit) * 100;
}

// The extra field as (id, data) blocks (4.5.1). Stops at the first block that is not whole.
template <class Visit>
bool for_each_extra(std::span<const std::byte> extra, Visit visit) {
  while (extra.size() >= 4) {
    const std::uint16_t id = load16(extra.data());
    const std::size_t length = load16(extra.data() + 2);
    if (extra.size() < 4 + length) return false;
    if (!visit(id, extra.subspan(4, length))) return false;
    extra = extra.subspan(4 + length);
  }
  return true;  // up to three bytes of padding are seen in the wild
}

// Resolves the fields that a record left to zip64, in the order the standard fixes: uncompressed, compressed, offset.
bool resolve_zip64(std::span<const std::byte> data, std::uint64_t& size, std::uint64_t& compressed,
                   std::uint64_t* offset) noexcept {
  const auto take = [&](std::uint64_t& field) {
    if (field != k_zip64_size) return true;
    if (data.size() < 8) return false;
    field = load64(data.data());
    data = data.subspan(8);
    return true;
  };
  return take(size) && take(compressed) && (offset == nullptr || take(*offset));
}

std::string to_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
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
  put.u32(std::min(central_offset, k_zip64_size));
  put.u16(0);
}

std::optional<std::size_t> decode_central_record(std::span<const std::byte> data, CentralRecord& record) {
  if (data.size() < k_central_size || load32(data.data()) != k_central_signature) return std::nullopt;
  const std::byte* p = data.data();
  const std::size_t name_bytes = load16(p + 28);
  const std::size_t extra_bytes = load16(p + 30);
  const std::size_t comment_bytes = load16(p + 32);
  const std::size_t total = k_central_size + name_bytes + extra_bytes + comment_bytes;
  if (data.size() < total) return std::nullopt;
  record.version_made = load16(p + 4);
  record.version_needed = load16(p + 6);
  record.flags = load16(p + 8);
  record.method = load16(p + 10);
  record.mtime = from_dos_time(load32(p + 12));
  record.crc = load32(p + 16);
  record.compressed_bytes = load32(p + 20);
  record.size_bytes = load32(p + 24);
  record.external_attributes = load32(p + 38);
  record.offset = load32(p + 42);
  record.name = to_text(data.subspan(k_central_size, name_bytes));
  const bool wants_zip64 =
      record.size_bytes == k_zip64_size || record.compressed_bytes == k_zip64_size || record.offset == k_zip64_size;
  bool found_zip64 = false;
  bool exact_time = false;
  const bool whole = for_each_extra(
      data.subspan(k_central_size + name_bytes, extra_bytes), [&](std::uint16_t id, std::span<const std::byte> field) {
        if (id == k_extra_zip64 && !found_zip64) {
          found_zip64 = true;
          return resolve_zip64(field, record.size_bytes, record.compressed_bytes, &record.offset);
        }
        if (id == k_extra_ntfs && field.size() >= 32 && load16(field.data() + 4) == 1 &&
            load16(field.data() + 6) == 24) {
          record.mtime = from_ntfs(load64(field.data() + 8));
          exact_time = true;
        } else if (id == k_extra_timestamp && field.size() >= 5 && (field[0] & std::byte{1}) != std::byte{0} &&
                   !exact_time) {
          record.mtime = static_cast<std::int32_t>(load32(field.data() + 1)) * k_second;
        }
        return true;
      });
  if (!whole || (wants_zip64 && !found_zip64)) return std::nullopt;
  return total;
}

std::optional<std::size_t> local_header_length(std::span<const std::byte> fixed_part) {
  if (fixed_part.size() < k_local_size || load32(fixed_part.data()) != k_local_signature) return std::nullopt;
  return k_local_size + load16(fixed_part.data() + 26) + load16(fixed_part.data() + 28);
}

std::optional<LocalHeader> decode_local_header(std::span<const std::byte> whole) {
  const auto length = local_header_length(whole);
  if (!length || whole.size() < *length) return std::nullopt;
  const std::byte* p = whole.data();
  const std::size_t name_bytes = load16(p + 26);
  LocalHeader header;
  header.version_needed = load16(p + 4);
  header.flags = load16(p + 6);
  header.method = load16(p + 8);
  header.crc = load32(p + 14);
  header.compressed_bytes = load32(p + 18);
  header.size_bytes = load32(p + 22);
  header.name = to_text(whole.subspan(k_local_size, name_bytes));
  header.header_bytes = *length;
  const bool whole_extra = for_each_extra(
      whole.subspan(k_local_size + name_bytes, *length - k_local_size - name_bytes),
      [&](std::uint16_t id, std::span<const std::byte> field) {
        return id != k_extra_zip64 || resolve_zip64(field, header.size_bytes, header.compressed_bytes, nullptr);
      });
  if (!whole_extra) return std::nullopt;
  return header;
}

}  // namespace zipmodule::zip
