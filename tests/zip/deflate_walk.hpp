// Deflate streams walked bit by bit, after nothing but RFC 1951: no code of src/zip is in it, so that what the engine's own
// check misreads is found here. Slow and plain on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace zipmodule::zip {

struct DeflateWalk {
  // The first rule that the stream breaks, or empty. The rules are those of RFC 1951 as its strictest readers take them:
  // every code complete, two distance codes or more in every dynamic block, no distance that leads before the first byte,
  // nothing behind the last block but the bits up to the end of its byte.
  std::string problem;
  std::uint64_t stored_blocks = 0;
  std::uint64_t fixed_blocks = 0;
  std::uint64_t dynamic_blocks = 0;
  std::uint64_t decoded_bytes = 0;
  // Of the dynamic block that has the fewest; 0 where there is no dynamic block.
  unsigned fewest_distance_codes = 0;
};

DeflateWalk walk_deflate(std::span<const std::byte> stream);

}  // namespace zipmodule::zip
