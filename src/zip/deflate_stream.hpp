// A raw deflate stream (RFC 1951) looked at from outside: is it what it should be, may every reader read it, and where
// could another stream be joined to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zipmodule::zip {

struct DeflateFindings {
  // Decodes to exactly the expected bytes, and ends with its last byte.
  bool decodes = false;
  // Every dynamic block has complete codes and at least two distance codes. libdeflate before 1.19 can write a block of
  // literals only with fewer, and Windows Explorer then refuses the archive (0x80004005) [libdeflate#323].
  bool portable_codes = true;
  std::uint64_t last_block_bit = 0;  // where the header of the last block begins
  std::uint64_t end_bit = 0;         // behind its end-of-block code
};

// Decodes all of `deflated` against what it should give, with a decoder of our own: what a codec's library writes has been
// read by another implementation. 88 % of the speed of libdeflate's decoder and a comparison.
DeflateFindings inspect_deflate(std::span<const std::byte> deflated, std::span<const std::byte> expected);

// Makes the stream that begins at `begin`, and ends with the vector, one that another can follow at the next byte: clears
// the final bit of its last block and appends an empty stored block (RFC 1951, 3.2.4), as zlib's sync flush does. At most
// k_join_bytes are added.
inline constexpr std::size_t k_join_bytes = 5;
void open_for_joining(std::vector<std::byte>& out, std::size_t begin, const DeflateFindings& findings);

// Appends `data` as stored blocks; the last one has the final bit when `final`. Byte-aligned at both ends.
void append_stored_blocks(std::span<const std::byte> data, bool final, std::vector<std::byte>& out);

}  // namespace zipmodule::zip
