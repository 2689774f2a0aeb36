// How records are read. What is written stands in format.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "zip/crc.hpp"
#include "zip/format.hpp"

namespace zipmodule::zip {
namespace {

constexpr std::int64_t k_second = 1'000'000'000;

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

// The text of a Unicode field, or nothing where it was made for another one: a program that renamed the entry did not
// know it.
std::string unicode_text(std::span<const std::byte> field, std::string_view plain) {
  constexpr std::size_t k_front = 5;  // version, CRC of the plain text
  if (field.size() <= k_front || field[0] != std::byte{1}) return {};
  if (load32(field.data() + 1) != crc32(0, std::as_bytes(std::span(plain)))) return {};
  return to_text(field.subspan(k_front));
}

}  // namespace

std::string method_name(std::uint16_t method) {
  switch (method) {
    case 0:
      return "stored";
    case 1:
      return "shrunk";
    case 2:
    case 3:
    case 4:
    case 5:
      return "reduced";
    case 6:
      return "imploded";
    case 8:
      return "deflated";
    case 9:
      return "deflate64";
    case 10:
      return "DCL imploded";
    case 12:
      return "bzip2";
    case 14:
      return "LZMA";
    case 18:
      return "TERSE";
    case 19:
      return "LZ77";
    case 20:
    case 93:
      return "zstd";
    case 94:
      return "MP3";
    case 95:
      return "xz";
    case 96:
      return "JPEG";
    case 97:
      return "WavPack";
    case 98:
      return "PPMd";
    case 99:
      return "AES";
    default:
      return fmt::format("method {}", method);
  }
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
  record.disk = load16(p + 34);
  record.comment = to_text(data.subspan(total - comment_bytes, comment_bytes));
  record.unicode_name.clear();
  record.unicode_comment.clear();
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
        } else if (id == k_extra_unicode_name) {
          record.unicode_name = unicode_text(field, record.name);
        } else if (id == k_extra_unicode_comment) {
          record.unicode_comment = unicode_text(field, record.comment);
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
