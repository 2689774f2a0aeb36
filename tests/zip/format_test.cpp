#include "zip/format.hpp"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace zipmodule::zip {
namespace {

constexpr std::int64_t k_second = 1'000'000'000;
constexpr std::uint64_t k_4g = std::uint64_t{1} << 32U;

EntryView entry_of(std::string_view name, std::uint64_t size, TimeNs mtime = 1'600'000'000 * k_second) {
  EntryView entry;
  entry.name = name;
  entry.size_bytes = size;
  entry.mtime = mtime;
  return entry;
}

std::vector<std::byte> local_header(const EntryView& entry, const Written& written) {
  std::vector<std::byte> bytes(local_header_size(entry));
  encode_local_header(entry, written, bytes);
  return bytes;
}

CentralRecord central_record(const EntryView& entry, const Written& written) {
  std::vector<std::byte> bytes;
  append_central_record(entry, written, bytes);
  CentralRecord record;
  const auto length = decode_central_record(bytes, record);
  REQUIRE(length);
  REQUIRE(*length == bytes.size());
  return record;
}

std::uint16_t extra_bytes(const std::vector<std::byte>& central) { return load16(central.data() + 30); }

// The ids of the extra fields, in order.
std::vector<unsigned> extra_ids(std::span<const std::byte> extra) {
  std::vector<unsigned> ids;
  while (extra.size() >= 4) {
    ids.push_back(load16(extra.data()));
    extra = extra.subspan(4U + load16(extra.data() + 2));
  }
  CHECK(extra.empty());
  return ids;
}

std::vector<unsigned> local_extra_ids(const EntryView& entry, const Written& written) {
  const auto bytes = local_header(entry, written);
  return extra_ids(std::span(bytes).subspan(k_local_size + entry.name.size()));
}

std::vector<unsigned> central_extra_ids(const EntryView& entry, const Written& written) {
  std::vector<std::byte> bytes;
  append_central_record(entry, written, bytes);
  return extra_ids(std::span(bytes).subspan(k_central_size + entry.name.size()));
}

TEST_CASE("what a central record holds comes back from its bytes") {
  const std::uint64_t size = GENERATE(std::uint64_t{0}, std::uint64_t{1}, k_4g - 2, k_4g - 1, k_4g, k_4g * 70'000);
  const std::uint64_t offset = GENERATE(std::uint64_t{0}, k_4g - 2, k_4g - 1, k_4g, k_4g * 3);
  const bool deflated = GENERATE(false, true);
  EntryView entry = entry_of("folder/r\u00e9sum\u00e9.txt", size, 1'234'567'891 * k_second);
  entry.executable = deflated;
  const Written written{offset, deflated ? size - size / 3 : size, 0xDEADBEEF,
                        deflated ? Method::deflated : Method::stored};
  const CentralRecord record = central_record(entry, written);
  CHECK(record.name == entry.name);
  CHECK(record.size_bytes == size);
  CHECK(record.compressed_bytes == written.compressed_bytes);
  CHECK(record.offset == offset);
  CHECK(record.crc == 0xDEADBEEF);
  CHECK(record.mtime == entry.mtime);
  CHECK(record.method == (deflated ? 8 : 0));
  CHECK(record.flags == k_flag_utf8);
  CHECK(record.mode() == (deflated ? 0755U : 0644U));
  CHECK(record.external_attributes >> 28U == 010);  // S_IFREG
  CHECK(record.version_made == (3U << 8U | 63U));
  CHECK_FALSE(record.directory());
}

TEST_CASE("what a local header holds comes back from its bytes, at any size") {
  const std::uint64_t size =
      GENERATE(std::uint64_t{0}, std::uint64_t{1}, k_4g - 2, k_4g - 1, k_4g, k_4g + 1, k_4g * 70'000);
  const bool stored = GENERATE(false, true);
  const EntryView entry = entry_of("a/b", size);
  const Written written{77, stored ? size : size / 2, 0x01020304, stored ? Method::stored : Method::deflated};
  const auto bytes = local_header(entry, written);
  CHECK(local_header_length(bytes) == bytes.size());
  const auto header = decode_local_header(bytes);
  REQUIRE(header);
  CHECK(header->name == "a/b");
  CHECK(header->size_bytes == size);
  CHECK(header->compressed_bytes == written.compressed_bytes);
  CHECK(header->crc == written.crc);
  CHECK(header->header_bytes == bytes.size());
  // 4.5.3: the local field must hold both sizes, whichever of them overflows.
  const bool zip64 = size >= k_4g - 1;
  CHECK(load32(bytes.data() + 18) == (zip64 ? 0xFFFFFFFF : written.compressed_bytes));
  CHECK(load32(bytes.data() + 22) == (zip64 ? 0xFFFFFFFF : size));
  CHECK(header->version_needed == central_record(entry, written).version_needed);
}

TEST_CASE("a field goes to zip64 when it is 0xFFFFFFFF, not only past it") {
  struct Case {
    std::uint64_t size, compressed, offset;
    std::size_t central_fields;
    bool local_zip64;
  };
  const std::uint64_t most = k_4g - 2;
  const auto test = GENERATE_COPY(values<Case>({
      {most, most, most, 0, false},
      {most + 1, most, 0, 1, true},
      {most + 1, most + 1, 0, 2, true},
      {k_4g, k_4g, 0, 2, true},
      {1, 1, most + 1, 1, false},
      {1, 1, k_4g, 1, false},
      {k_4g, 5, k_4g, 2, true},
      {k_4g, k_4g, k_4g, 3, true},
  }));
  const EntryView entry = entry_of("n", test.size);
  const Written written{test.offset, test.compressed, 1, Method::stored};
  CAPTURE(test.size, test.compressed, test.offset);
  std::vector<std::byte> central;
  append_central_record(entry, written, central);
  const std::size_t times = 9;
  CHECK(extra_bytes(central) == times + (test.central_fields > 0 ? 4 + 8 * test.central_fields : 0));
  CHECK(needs_zip64(entry, written) == (test.central_fields > 0));
  CHECK(local_extra_ids(entry, written) ==
        (test.local_zip64 ? std::vector<unsigned>{0x0001, 0x5455} : std::vector<unsigned>{0x5455}));
  // cpython#121171: 45 in both headers, also where only the offset overflows
  const unsigned version = test.central_fields > 0 ? 45 : 10;
  CHECK(load16(central.data() + 6) == version);
  CHECK(load16(local_header(entry, written).data() + 4) == version);
}

TEST_CASE("the central zip64 field holds what overflows, in the order size, compressed size, offset") {
  std::vector<std::byte> central;
  append_central_record(entry_of("n", k_4g + 1), {k_4g + 3, k_4g + 2, 0, Method::stored}, central);
  const std::byte* field = central.data() + k_central_size + 1;
  CHECK(load16(field) == 0x0001);
  CHECK(load16(field + 2) == 24);
  CHECK(load64(field + 4) == k_4g + 1);
  CHECK(load64(field + 12) == k_4g + 2);
  CHECK(load64(field + 20) == k_4g + 3);
}

TEST_CASE("versions needed: 10 stored, 20 deflated or a folder, 45 zip64") {
  EntryView folder = entry_of("d/", 0);
  folder.directory = true;
  CHECK(central_record(entry_of("a", 1), {0, 1, 0, Method::stored}).version_needed == 10);
  CHECK(central_record(entry_of("a", 2), {0, 1, 0, Method::deflated}).version_needed == 20);
  CHECK(central_record(folder, {}).version_needed == 20);
  CHECK(central_record(folder, {k_4g, 0, 0, Method::stored}).version_needed == 45);
}

TEST_CASE("a folder has the folder's bits of Unix and DOS, and mode 0755") {
  EntryView folder = entry_of("d/", 0);
  folder.directory = true;
  const CentralRecord record = central_record(folder, {});
  CHECK(record.directory());
  CHECK(record.external_attributes == ((040755U << 16U) | 0x10U));
  CHECK(record.mode() == 0755);
}

TEST_CASE("bit 11 is set if and only if the name has bytes past ASCII, the same in both headers") {
  const auto [name, flag] = GENERATE(table<std::string, unsigned>({{"plain.txt", 0},
                                                                   {"tilde~", 0},
                                                                   {"\u00e9", k_flag_utf8},
                                                                   {"a/\u65e5\u672c/b", k_flag_utf8},
                                                                   {"\U0001F600", k_flag_utf8}}));
  CAPTURE(name);
  const EntryView entry = entry_of(name, 5);
  CHECK(central_record(entry, {}).flags == flag);
  CHECK(decode_local_header(local_header(entry, {}))->flags == flag);
}

TEST_CASE("the end record goes to zip64 when a figure is the largest its field holds, or an entry is zip64") {
  struct Case {
    std::uint64_t entries, offset, bytes;
    bool any_zip64, expected;
  };
  const auto test = GENERATE(values<Case>({
      {0, 0, 0, false, false},
      {65'534, 100, 100, false, false},
      {65'535, 100, 100, false, true},
      {65'536, 100, 100, false, true},
      {1, k_4g - 2, 50, false, false},
      {1, k_4g - 1, 50, false, true},
      {1, k_4g, 50, false, true},
      {1, 50, k_4g - 2, false, false},
      {1, 50, k_4g - 1, false, true},
      {1, 50, 50, true, true},
  }));
  CAPTURE(test.entries, test.offset, test.bytes);
  std::vector<std::byte> bytes;
  append_end_records(test.entries, test.offset, test.bytes, test.any_zip64, bytes);
  REQUIRE(bytes.size() == (test.expected ? k_end64_size + k_locator64_size + k_end_size : k_end_size));
  const std::byte* end = bytes.data() + bytes.size() - k_end_size;
  CHECK(load32(end) == k_end_signature);
  CHECK(load16(end + 8) == std::min<std::uint64_t>(test.entries, 0xFFFF));
  CHECK(load16(end + 10) == std::min<std::uint64_t>(test.entries, 0xFFFF));
  CHECK(load32(end + 12) == std::min<std::uint64_t>(test.bytes, 0xFFFFFFFF));
  // One field at least sends readers to zip64, also where all figures fit.
  CHECK(load32(end + 16) == (test.expected ? 0xFFFFFFFF : test.offset));
  CHECK(load16(end + 20) == 0);
  if (!test.expected) return;
  CHECK(load32(bytes.data()) == k_end64_signature);
  CHECK(load64(bytes.data() + 4) == k_end64_size - 12);
  CHECK(load16(bytes.data() + 14) == 45);
  CHECK(load64(bytes.data() + 24) == test.entries);
  CHECK(load64(bytes.data() + 32) == test.entries);
  CHECK(load64(bytes.data() + 40) == test.bytes);
  CHECK(load64(bytes.data() + 48) == test.offset);
  const std::byte* locator = bytes.data() + k_end64_size;
  CHECK(load32(locator) == k_locator64_signature);
  CHECK(load64(locator + 8) == test.offset + test.bytes);
  CHECK(load32(locator + 16) == 1);
}

TEST_CASE("DOS times are UTC, in steps of two seconds, and clamped to 1980..2107") {
  const auto [seconds, dos] = GENERATE(table<std::int64_t, std::uint32_t>({
      {315'532'800, 0x00210000},  // 1980-01-01 00:00:00
      {315'532'799, 0x00210000},  // a second before
      {0, 0x00210000},
      {-5'000'000'000, 0x00210000},
      {951'782'400, 0x285D0000},    // 2000-02-29
      {951'782'403, 0x285D0001},    // the odd second is lost
      {1'600'000'000, 0x512D6354},  // 2020-09-13 12:26:40
      {1'600'000'001, 0x512D6354},
      {4'354'819'199, 0xFF9FBF7D},  // 2107-12-31 23:59:59
      {4'354'819'200, 0xFF9FBF7D},  // 2108
      {9'000'000'000, 0xFF9FBF7D},
  }));
  CAPTURE(seconds);
  CHECK(to_dos_time(seconds * k_second) == dos);
}

TEST_CASE("every even second from 1980 to 2107 comes back from a DOS time") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto time = (315'532'800 + static_cast<std::int64_t>(random() % (4'354'819'200 - 315'532'800))) * k_second;
    const TimeNs back = from_dos_time(to_dos_time(time));
    if (back > time || time - back >= 2 * k_second) FAIL("of " << time << " became " << back);
  }
}

TEST_CASE("a DOS time that is no date is taken for 1980 and harms nobody") {
  for (const std::uint32_t dos : {0x00000000U, 0xFFFFFFFFU, 0x01E00000U, 0x005F0000U, 0x0021FFFFU}) {
    CHECK(from_dos_time(dos) >= from_dos_time(0x00210000));
  }
}

TEST_CASE("modification times from 1970 on come back to the second at least, in the one field that holds them") {
  const std::int64_t seconds =
      GENERATE(std::int64_t{0}, std::int64_t{86'400}, std::int64_t{315'532'799}, std::int64_t{1'600'000'001},
               std::int64_t{INT32_MAX}, std::int64_t{INT32_MAX} + 1, std::int64_t{4'354'819'200},
               std::int64_t{9'000'000'000}, std::int64_t{9'223'372'035});
  const std::int64_t nanoseconds = GENERATE(0, 1, 99, 100, 150, 500'000'000, 999'999'900, 999'999'950, 999'999'999);
  CAPTURE(seconds, nanoseconds);
  const TimeNs mtime = seconds * k_second + nanoseconds;
  const EntryView entry = entry_of("t", 1, mtime);
  const TimeNs back = central_record(entry, {0, 1, 0, Method::stored}).mtime;
  // The second it lies in, not the nearest.
  CHECK((back >= seconds * k_second && back < (seconds + 1) * k_second));
  CHECK(recorded_seconds(mtime) == seconds);
  const bool fits = seconds <= INT32_MAX;
  const std::vector<unsigned> expected{fits ? 0x5455U : 0x000aU};
  CHECK(local_extra_ids(entry, {0, 1, 0, Method::stored}) == expected);
  CHECK(central_extra_ids(entry, {0, 1, 0, Method::stored}) == expected);
  if (!fits) CHECK(back == mtime - (nanoseconds % 100));
}

TEST_CASE("times before 1970 have no field but DOS's, which says 1980") {
  const TimeNs mtime = GENERATE(TimeNs{-1}, -k_second, -86'400 * k_second, INT32_MIN * k_second,
                                (std::int64_t{INT32_MIN} - 1) * k_second, std::numeric_limits<TimeNs>::min());
  CAPTURE(mtime);
  const EntryView entry = entry_of("t", 1, mtime);
  CHECK(local_extra_ids(entry, {0, 1, 0, Method::stored}).empty());
  CHECK(central_extra_ids(entry, {0, 1, 0, Method::stored}).empty());
  CHECK(central_record(entry, {0, 1, 0, Method::stored}).mtime == from_dos_time(0x00210000));
  CHECK(recorded_seconds(mtime) == 315'532'800);
}

TEST_CASE("the last nanosecond that 64 bits hold can be written and read") {
  constexpr TimeNs k_last = std::numeric_limits<TimeNs>::max();
  CHECK(k_last - central_record(entry_of("t", 1, k_last), {0, 1, 0, Method::stored}).mtime <= 100);
}

TEST_CASE("a time after 2038 stands in the NTFS field alone") {
  std::vector<std::byte> central;
  append_central_record(entry_of("t", 1, std::int64_t{5'000'000'000} * k_second), {0, 1, 0, Method::stored}, central);
  const std::byte* extra = central.data() + k_central_size + 1;
  CHECK(load16(extra) == 0x000a);
  CHECK(load64(extra + 12) == (std::uint64_t{5'000'000'000} + 11'644'473'600) * 10'000'000);
}

TEST_CASE("a record that is not whole is refused at every length, and never read past") {
  EntryView entry = entry_of("folder/name.txt", k_4g, std::int64_t{5'000'000'000} * k_second);
  std::vector<std::byte> central;
  append_central_record(entry, {k_4g, k_4g, 7, Method::stored}, central);
  for (std::size_t length = 0; length < central.size(); ++length) {
    const std::vector<std::byte> cut(central.begin(), central.begin() + static_cast<std::ptrdiff_t>(length));
    CentralRecord record;
    CHECK_FALSE(decode_central_record(cut, record));
  }
  const auto local = local_header(entry, {k_4g, k_4g, 7, Method::stored});
  for (std::size_t length = 0; length < local.size(); ++length) {
    const std::vector<std::byte> cut(local.begin(), local.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK_FALSE(decode_local_header(cut));
  }
}

TEST_CASE("records of random bytes are refused or read within their bounds") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 200'000; ++i) {
    std::vector<std::byte> bytes(k_central_size + random() % 120);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    for (unsigned k = 0; k < 4; ++k) bytes[k] = static_cast<std::byte>(k_central_signature >> (8 * k));
    for (const std::size_t at : {28U, 30U, 32U}) {
      bytes[at] = static_cast<std::byte>(random() % 60);
      bytes[at + 1] = std::byte{0};
    }
    if (random() % 2 == 0) std::fill_n(bytes.begin() + 20, 8, std::byte{0xFF});
    CentralRecord record;
    const auto length = decode_central_record(bytes, record);
    if (length && *length > bytes.size()) FAIL("read past the end");
  }
}

TEST_CASE("a zip64 field that holds less than the record left to it is refused") {
  std::vector<std::byte> central;
  append_central_record(entry_of("n", k_4g), {k_4g, k_4g, 0, Method::stored}, central);
  const std::size_t field = k_central_size + 1;
  for (const unsigned length : {0U, 7U, 8U, 16U, 23U}) {
    auto shorter = central;
    shorter[field + 2] = static_cast<std::byte>(length);
    CentralRecord record;
    // What is left of the field reads as another field; whichever way, no overflowing value may be made up.
    if (decode_central_record(shorter, record)) CHECK(record.offset == k_4g);
  }
  central[field] = std::byte{0x77};  // no zip64 field at all
  CentralRecord record;
  CHECK_FALSE(decode_central_record(central, record));
}

TEST_CASE("padding ends at a block, and is nothing or room for an extra field") {
  for (std::uint64_t end = 4'000; end < 4'000 + 2 * k_block_bytes; ++end) {
    const std::size_t padding = padding_at(end);
    if ((end + padding) % k_block_bytes != 0) FAIL(end);
    if (padding != 0 && (padding < 6 || padding > k_padding_most)) FAIL(end);
  }
  CHECK(padding_at(k_block_bytes - 5) == k_padding_most);
}

TEST_CASE("the central record repeats the local header's alignment field") {
  const EntryView entry = entry_of("photo.jpg", 200'000);
  Written written{4'000, 200'000, 7, Method::stored};
  CHECK(central_extra_ids(entry, written) == std::vector<unsigned>{0x5455});
  written.padding = static_cast<std::uint16_t>(padding_at(written.offset + local_header_size(entry)));
  std::vector<std::byte> local(local_header_size(entry) + written.padding);
  encode_local_header(entry, written, local);
  std::vector<std::byte> central;
  append_central_record(entry, written, central);
  CHECK(extra_bytes(central) == load16(local.data() + 28));
  CHECK(central_extra_ids(entry, written) == std::vector<unsigned>{0x5455, 0xD935});
}

}  // namespace
}  // namespace zipmodule::zip
