// The records of a zip archive as bytes: PKWARE APPNOTE 6.3.x, section 4. Knows layout only, no policy, no I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "zip/entry.hpp"

namespace zipmodule::zip {

inline constexpr std::uint32_t k_local_signature = 0x04034b50;       // 4.3.7
inline constexpr std::uint32_t k_central_signature = 0x02014b50;     // 4.3.12
inline constexpr std::uint32_t k_end_signature = 0x06054b50;         // 4.3.16
inline constexpr std::uint32_t k_end64_signature = 0x06064b50;       // 4.3.14
inline constexpr std::uint32_t k_locator64_signature = 0x07064b50;   // 4.3.15
inline constexpr std::uint32_t k_descriptor_signature = 0x08074b50;  // 4.3.9

inline constexpr std::size_t k_local_size = 30;
inline constexpr std::size_t k_central_size = 46;
inline constexpr std::size_t k_end_size = 22;
inline constexpr std::size_t k_end64_size = 56;
inline constexpr std::size_t k_locator64_size = 20;

// Extra fields (4.5, 4.6).
inline constexpr std::uint16_t k_extra_zip64 = 0x0001;
inline constexpr std::uint16_t k_extra_ntfs = 0x000a;
inline constexpr std::uint16_t k_extra_timestamp = 0x5455;  // Info-ZIP extended timestamp
inline constexpr std::uint16_t k_extra_unicode_comment = 0x6375;
inline constexpr std::uint16_t k_extra_unicode_name = 0x7075;
inline constexpr std::uint16_t k_extra_alignment = 0xD935;  // Android's zipalign: the alignment (16 bits), then zeros

// 100 ns units between 1601-01-01, where NTFS counts from, and 1970-01-01.
inline constexpr std::int64_t k_ntfs_epoch = 116'444'736'000'000'000;

inline constexpr std::uint16_t k_flag_encrypted = 1U << 0;  // 4.4.4
inline constexpr std::uint16_t k_flag_descriptor = 1U << 3;
inline constexpr std::uint16_t k_flag_utf8 = 1U << 11;

// A 32-bit field that holds this, or a 16-bit field that holds 0xFFFF, means 'see zip64': so values from here on
// (>=, not >) live in the zip64 extra field (4.5.3). libzip 1.7 and libarchive 3.6 get the equal case wrong.
inline constexpr std::uint64_t k_zip64_size = 0xFFFFFFFF;
inline constexpr std::uint64_t k_zip64_count = 0xFFFF;

// Where an entry's data ended up.
struct Written {
  std::uint64_t offset = 0;  // of the local header
  std::uint64_t compressed_bytes = 0;
  std::uint32_t crc = 0;
  Method method = Method::stored;
  std::uint16_t padding = 0;  // bytes of the local header's alignment field
};

// Bytes the local header of `entry` takes, name and extra fields included. Depends on name, size and time only, so that
// room can be reserved before the data is compressed.
std::size_t local_header_size(const EntryView& entry) noexcept;

// Aligned data begins at a multiple of this: the block that XFS and btrfs share between files.
inline constexpr std::uint64_t k_block_bytes = 4096;

// Stored entries from this size on are aligned, where that is wanted: smaller ones would grow by more than 3 % for
// blocks that are hardly worth an extent of their own.
inline constexpr std::uint64_t k_align_from = std::uint64_t{128} << 10U;
// The most that padding_at gives.
inline constexpr std::uint64_t k_padding_most = k_block_bytes + 5;

// What a local header that would end at `end` is made longer by, so that data behind it is aligned: zero, or enough for
// an extra field of its own.
std::size_t padding_at(std::uint64_t end) noexcept;

// Writes the local header into `out`, which has local_header_size bytes; what there is more, by padding_at, becomes an
// extra field (0xD935, as zipalign writes it) of zeros.
void encode_local_header(const EntryView& entry, const Written& written, std::span<std::byte> out);

// Appends the central directory record. It repeats the local header's alignment field: some readers (npm's unzipper)
// take the central extra fields for a measure of the local ones, and read too little of a header that is much longer.
void append_central_record(const EntryView& entry, const Written& written, std::vector<std::byte>& out);

// Appends the end records: EOCD64 and locator when any total overflows or `any_zip64`, then the EOCD, whose offset says
// 'see zip64' wherever there is an EOCD64.
void append_end_records(std::uint64_t entries, std::uint64_t central_offset, std::uint64_t central_bytes,
                        bool any_zip64, std::vector<std::byte>& out);

// The second that an entry's records hold for a time: its own from 1970 on, before that the DOS clock's earliest.
std::int64_t recorded_seconds(TimeNs mtime) noexcept;

// Whether the entry's records use zip64 fields.
bool needs_zip64(const EntryView& entry, const Written& written) noexcept;

// --- reading -------------------------------------------------------------------------------------------------------

// The end of central directory, zip64 included (4.3.14 to 4.3.16).
struct EndRecord {
  std::uint64_t entries = 0;
  std::uint64_t central_offset = 0;  // in the file
  std::uint64_t central_bytes = 0;
  std::uint64_t shift = 0;  // bytes before the archive that its own offsets leave out
  std::uint32_t disk = 0;   // the part of a split archive that it stands in, from 0
};

// One central directory record (4.3.12), zip64 resolved. Texts are bytes as they stand there: entry_text.hpp reads
// them.
struct CentralRecord {
  std::string name;
  std::string comment;
  std::string unicode_name;     // of Info-ZIP's field 0x7075, where its CRC is that of `name`
  std::string unicode_comment;  // of 0x6375, the same
  std::uint64_t compressed_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t offset = 0;
  TimeNs mtime = 0;  // extended timestamp, else NTFS, else the DOS time taken as UTC
  std::uint32_t crc = 0;
  std::uint32_t external_attributes = 0;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint16_t version_made = 0;
  std::uint16_t version_needed = 0;
  std::uint16_t disk = 0;

  bool directory() const noexcept { return !name.empty() && name.back() == '/'; }
  // Whether it has Unix's mode: made on Unix or macOS (4.4.2), and not left out.
  bool has_mode() const noexcept {
    const unsigned host = version_made >> 8U;
    return (host == 3 || host == 19) && external_attributes >> 16U != 0;
  }
  // Unix permission bits; 0 without a mode.
  unsigned mode() const noexcept { return has_mode() ? (external_attributes >> 16U) & 07777U : 0; }
  bool symlink() const noexcept { return has_mode() && (external_attributes >> 28U) == 012; }
};

// Parses the record at the start of `data`. Returns the bytes it takes, or nullopt where it is not whole or breaks
// 4.3.12 or 4.5.3.
std::optional<std::size_t> decode_central_record(std::span<const std::byte> data, CentralRecord& record);

// A local header (4.3.7), zip64 resolved. `header_bytes` counts name and extra fields.
struct LocalHeader {
  std::string name;
  std::uint64_t compressed_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t crc = 0;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint16_t version_needed = 0;
  std::size_t header_bytes = 0;
};
// Parses the fixed part to learn how long the whole is; nullopt where the signature is wrong or bytes are missing.
std::optional<std::size_t> local_header_length(std::span<const std::byte> fixed_part);
std::optional<LocalHeader> decode_local_header(std::span<const std::byte> whole);

// A compression method as people call it (4.4.5): "stored", "bzip2"; "method 77" where it has no name here.
std::string method_name(std::uint16_t method);

// Plain little-endian fields.
std::uint16_t load16(const std::byte* p) noexcept;
std::uint32_t load32(const std::byte* p) noexcept;
std::uint64_t load64(const std::byte* p) noexcept;

// A DOS date and time in UTC, clamped to 1980..2107 (4.4.6). High half: date.
std::uint32_t to_dos_time(TimeNs mtime) noexcept;
TimeNs from_dos_time(std::uint32_t dos) noexcept;

}  // namespace zipmodule::zip
