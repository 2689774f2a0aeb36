#include "zip/deflate_stream.hpp"

#include <libdeflate.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "zip/codec.hpp"
#include "zip/explorer_inputs.hpp"
#include "zip/handmade_stream.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

// What libdeflate itself writes.
std::vector<std::byte> by_libdeflate(const std::string& data, int level) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(level), libdeflate_free_compressor);
  std::vector<std::byte> out(libdeflate_deflate_compress_bound(compressor.get(), data.size()));
  out.resize(libdeflate_deflate_compress(compressor.get(), data.data(), data.size(), out.data(), out.size()));
  return out;
}

constexpr bool k_has_the_bug = LIBDEFLATE_VERSION_MAJOR == 1 && LIBDEFLATE_VERSION_MINOR < 19;

TEST_CASE("libdeflate's blocks without distance codes are seen") {
  if (!k_has_the_bug) {
    WARN("not tested: libdeflate " LIBDEFLATE_VERSION_STRING " writes no such blocks");
    return;
  }
  for (const int level : {1, 6, 10}) {
    int flagged = 0;
    int decoded = 0;
    const auto inputs = explorer_inputs();
    for (const auto& data : inputs) {
      const auto findings = inspect_deflate(by_libdeflate(data, level), bytes_of(data));
      if (!findings.portable_codes) ++flagged;
      if (findings.decodes) ++decoded;
    }
    INFO("level " << level);
    CHECK(flagged > 0);
    CHECK(decoded == static_cast<int>(inputs.size()));
  }
}

TEST_CASE("a sha256sum line is one of the inputs that Explorer could not read") {
  if (!k_has_the_bug) return;
  bool flagged = false;
  for (const auto& line : sha256sum_lines(200)) {
    flagged = flagged || !inspect_deflate(by_libdeflate(line, 6), bytes_of(line)).portable_codes;
  }
  CHECK(flagged);
}

TEST_CASE("blocks with no, one and two distance codes are told apart") {
  const auto [lengths, portable] = GENERATE(table<std::vector<unsigned>, bool>(
      {{{0}, false}, {{1}, false}, {{0, 1}, false}, {{1, 1}, true}, {{0, 1, 1}, true}, {{1, 2, 2}, true}}));
  const auto stream = block_with_distances(lengths);
  const auto findings = inspect_deflate(stream, bytes_of("a"));
  CHECK(findings.decodes);  // zlib reads all of them
  CHECK(findings.portable_codes == portable);
  CHECK((findings.end_bit + 7) / 8 == stream.size());
}

TEST_CASE("a block that zlib refuses is not called portable") {
  std::vector<unsigned> lengths(30);
  lengths[0] = lengths[29] = 1;
  // One of room for 30 distance codes is good; for 31 and 32, where RFC 1951 has no such codes, it is not.
  for (const std::size_t room : {30U, 31U, 32U}) {
    lengths.resize(room);
    const auto stream = block_with_distances(lengths);
    const auto findings = inspect_deflate(stream, bytes_of("a"));
    INFO(room);
    CHECK((findings.decodes && findings.portable_codes) == (room == 30));
    CHECK(inflate_raw(text_of(stream)).has_value() == (room == 30));
  }
  const auto incomplete = block_with_distances({1, 1}, 3);
  const auto findings = inspect_deflate(incomplete, bytes_of("a"));
  CHECK_FALSE((findings.decodes && findings.portable_codes));
  CHECK_FALSE(inflate_raw(text_of(incomplete)).has_value());
}

TEST_CASE("what a codec leaves in the bits behind its last code is not read as a block") {
  const std::string data = zipmodule::test::wordy_text(300);
  auto stream = by_libdeflate(data, 6);
  auto findings = inspect_deflate(stream, bytes_of(data));
  REQUIRE(findings.decodes);
  REQUIRE(findings.end_bit % 8 != 0);
  stream.back() |= static_cast<std::byte>(0xFFU << (findings.end_bit % 8));
  findings = inspect_deflate(stream, bytes_of(data));
  REQUIRE(findings.decodes);
  open_for_joining(stream, 0, findings);
  append_stored_blocks(bytes_of("behind"), true, stream);
  CHECK(inflate_raw(text_of(stream)) == data + "behind");
}

TEST_CASE("a bad block behind good ones is seen") {
  std::vector<std::byte> stream;
  append_stored_blocks(bytes_of("first"), false, stream);
  const auto bad = block_with_distances({1});
  stream.insert(stream.end(), bad.begin(), bad.end());
  const auto findings = inspect_deflate(stream, bytes_of("firsta"));
  CHECK(findings.decodes);
  CHECK_FALSE(findings.portable_codes);
  CHECK(findings.last_block_bit == 10 * 8);
}

TEST_CASE("a stream cut anywhere does not decode") {
  const std::string data = zipmodule::test::wordy_text(3000);
  const auto stream = by_libdeflate(data, 6);
  REQUIRE(inspect_deflate(stream, bytes_of(data)).decodes);
  for (std::size_t length = 0; length < stream.size(); ++length) {
    const std::vector<std::byte> cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(length));
    if (inspect_deflate(cut, bytes_of(data)).decodes) FAIL("cut at " << length);
  }
}

TEST_CASE("a stream with bytes behind it does not decode to 'exactly'") {
  const std::string data = zipmodule::test::wordy_text(3000);
  auto stream = by_libdeflate(data, 6);
  stream.push_back(std::byte{0});
  CHECK_FALSE(inspect_deflate(stream, bytes_of(data)).decodes);
}

TEST_CASE("a stream of fewer, more or other bytes does not decode") {
  const std::string data = zipmodule::test::wordy_text(3000);
  const auto stream = by_libdeflate(data, 6);
  CHECK_FALSE(inspect_deflate(stream, bytes_of(data.substr(1))).decodes);
  CHECK_FALSE(inspect_deflate(stream, bytes_of(data + "x")).decodes);
  CHECK_FALSE(inspect_deflate(stream, bytes_of("")).decodes);
  std::string other = data;
  other[1500] = static_cast<char>(other[1500] ^ 1);
  CHECK_FALSE(inspect_deflate(stream, bytes_of(other)).decodes);
}

TEST_CASE("a stream with any bit flipped decodes to the same bytes or is found") {
  // Unused bits behind the last code are the only ones that may be flipped unseen.
  const std::string data = zipmodule::test::wordy_text(700) + std::string(400, 'x');
  const auto stream = by_libdeflate(data, 10);
  const auto whole = inspect_deflate(stream, bytes_of(data));
  std::size_t unseen = 0;
  for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
    auto flipped = stream;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto findings = inspect_deflate(flipped, bytes_of(data));
    if (!findings.decodes) continue;
    ++unseen;
    if (inflate_raw(text_of(flipped)) != data) FAIL("bit " << bit << " changes what is decoded");
  }
  CHECK(unseen >= stream.size() * 8 - whole.end_bit);
}

TEST_CASE("random bytes are no stream, and harm nobody") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 50'000; ++i) {
    const std::string noise = zipmodule::test::random_bytes(1 + random() % 200, random());
    const auto findings = inspect_deflate(bytes_of(noise), bytes_of("expected"));
    if (findings.decodes) FAIL("noise decodes");
  }
}

TEST_CASE("stored blocks hold any size, and are aligned at both ends") {
  const std::size_t size = GENERATE(0, 1, 2, 65'534, 65'535, 65'536, 131'070, 131'071, 200'000);
  const bool final = GENERATE(false, true);
  const std::string data = zipmodule::test::random_bytes(size);
  std::vector<std::byte> stream;
  append_stored_blocks(bytes_of(data), final, stream);
  CHECK(stream.size() == size + 5 * (size == 0 ? 1 : (size + 65'534) / 65'535));
  if (!final) {
    CHECK_FALSE(inspect_deflate(stream, bytes_of(data)).decodes);
    append_stored_blocks({}, true, stream);
  }
  CHECK(inspect_deflate(stream, bytes_of(data)).decodes);
  CHECK(inflate_raw(text_of(stream)) == data);
}

TEST_CASE("an opened stream can be followed at the next byte, whatever bit it ended at") {
  std::mt19937_64 random(17);
  unsigned ends_seen = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string first = zipmodule::test::wordy_text(1 + random() % 300, random());
    const std::string second = zipmodule::test::wordy_text(1 + random() % 300, random());
    auto joined = by_libdeflate(first, 6);
    const auto findings = inspect_deflate(joined, bytes_of(first));
    REQUIRE(findings.decodes);
    ends_seen |= 1U << (findings.end_bit % 8);
    const std::size_t before = joined.size();
    open_for_joining(joined, 0, findings);
    CHECK(joined.size() <= before + 5);
    const auto tail = by_libdeflate(second, 1);
    joined.insert(joined.end(), tail.begin(), tail.end());
    REQUIRE(inflate_raw(text_of(joined)) == first + second);
  }
  CHECK(ends_seen == 0xFF);
}

}  // namespace
}  // namespace zipmodule::zip
