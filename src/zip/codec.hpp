// Turning bytes into deflate, and deciding by the content whether that is worth it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "zip/level.hpp"

namespace zipmodule::zip {

// Entries up to this size are compressed in one piece, larger ones in chunks of it, in parallel. Borders depend on it
// alone, so the output never depends on the number of threads. Joined chunks of libdeflate lose the 32 KiB window at each
// border: on 170 MB of text an archive is 1.0035 of zip -6's size with 1 MiB, 1.0015 with 2 MiB, 1.0007 with 4 MiB. With
// 2 MiB a file of a few megabytes still uses all cores.
#ifdef ZIPMODULE_CHUNK_BYTES  // small, so that fuzzers reach the borders
inline constexpr std::size_t k_chunk_bytes = ZIPMODULE_CHUNK_BYTES;
#else
inline constexpr std::size_t k_chunk_bytes = std::size_t{2} << 20U;
#endif

// Whether samples of the content shrink enough to make compressing all of it worth the time. `sample(offset, buffer)`
// fills the buffer from there. Deterministic: which samples are taken depends on size_bytes alone.
using SampleSource = std::function<void(std::uint64_t offset, std::span<std::byte> buffer)>;
bool worth_deflating(std::uint64_t size_bytes, Level level, const SampleSource& sample);

// Compresses a whole small entry (at most k_chunk_bytes). Appends the stream to `out` behind what is there; returns false
// and leaves `out` as it was where storing is no larger. What it appends has been decoded again by zlib, and Windows can
// read it (deflate_stream.hpp). Throws Error{verify} if no codec gives such a stream. Thread-safe.
bool deflate_entry(std::span<const std::byte> data, Level level, std::vector<std::byte>& out);

// One chunk of a large entry: a piece of a deflate stream, byte-aligned at both ends, that ends the stream when `final`.
// Chunks that don't shrink become stored blocks. Appends to `out`. Checked and thread-safe as above.
void deflate_chunk(std::span<const std::byte> data, Level level, bool final, std::vector<std::byte>& out);

}  // namespace zipmodule::zip
