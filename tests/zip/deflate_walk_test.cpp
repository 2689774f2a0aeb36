#include "zip/deflate_walk.hpp"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/deflate_stream.hpp"
#include "zip/explorer_inputs.hpp"
#include "zip/handmade_stream.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using Catch::Matchers::Contains;
using zipmodule::test::wordy_text;

std::string by_zlib(const std::string& data, int level, int strategy) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, strategy) == Z_OK);
  std::string out(deflateBound(&z, data.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = static_cast<uInt>(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

TEST_CASE("a walk counts the distance codes of a dynamic block") {
  const auto [lengths, codes] = GENERATE(table<std::vector<unsigned>, unsigned>(
      {{{0}, 0}, {{1}, 1}, {{0, 1}, 1}, {{1, 1}, 2}, {{0, 1, 1}, 2}, {{1, 2, 2}, 3}}));
  const auto walk = walk_deflate(block_with_distances(lengths));
  CHECK(walk.dynamic_blocks == 1);
  CHECK(walk.fewest_distance_codes == codes);
  if (codes < 2) {
    CHECK_THAT(walk.problem, Contains("distance codes"));
  } else {
    CHECK(walk.problem.empty());
    CHECK(walk.decoded_bytes == 1);
  }
}

TEST_CASE("a walk goes through every kind of block that zlib writes, to the last byte") {
  const std::string data = wordy_text(100'000) + std::string(1'000, 'x') + zipmodule::test::random_bytes(70'000);
  const auto stored = walk_deflate(bytes_of(by_zlib(data, 0, Z_DEFAULT_STRATEGY)));
  const auto fixed = walk_deflate(bytes_of(by_zlib(data, 9, Z_FIXED)));
  const auto dynamic = walk_deflate(bytes_of(by_zlib(data, 9, Z_DEFAULT_STRATEGY)));
  for (const auto& walk : {stored, fixed, dynamic}) {
    CHECK(walk.problem.empty());
    CHECK(walk.decoded_bytes == data.size());
  }
  CHECK(stored.stored_blocks >= 3);
  CHECK(fixed.fixed_blocks >= 1);
  CHECK(dynamic.dynamic_blocks >= 3);
  CHECK(dynamic.fewest_distance_codes >= 2);
}

TEST_CASE("a walk names the rule that a stream breaks") {
  struct Case {
    std::vector<std::byte> stream;
    std::string problem;
  };
  auto with_byte_behind = block_with_distances({1, 1});
  with_byte_behind.push_back(std::byte{0});
  auto cut = block_with_distances({1, 1});
  cut.pop_back();
  std::vector<unsigned> wide(31);
  wide[0] = wide[1] = 1;
  const Case cases[] = {
      {BitWriter().put(1, 1).put(3, 2).bytes(), "reserved"},
      {BitWriter().put(1, 1).put(0, 2).put(0, 5).put(1, 16).put(1, 16).bytes(), "contradict"},
      {BitWriter().put(1, 1).put(2, 2).put(30, 5).put(0, 5).put(0, 4).bytes(), "literal and length codes"},
      {block_with_distances(wide), "room for 31"},
      {block_with_distances({1, 1}, 3), "incomplete code length"},
      {block_with_distances({1, 2}), "incomplete distance"},
      {block_with_distances({1, 1, 1}), "too many distance"},
      // fixed codes: length 3 is 0000001, distance 1 is 00000
      {BitWriter().put(1, 1).put(1, 2).put(0x40, 7).put(0, 5).put(0, 7).bytes(), "before the first byte"},
      {with_byte_behind, "behind"},
      {cut, "middle"},
      {{}, "middle"},
  };
  for (const auto& test : cases) {
    INFO(test.problem);
    CHECK_THAT(walk_deflate(test.stream).problem, Contains(test.problem));
    CHECK((test.problem == "before the first byte" || !inflate_raw(text_of(test.stream)).has_value() ||
           !inspect_deflate(test.stream, bytes_of("a")).portable_codes));
  }
}

}  // namespace
}  // namespace zipmodule::zip
