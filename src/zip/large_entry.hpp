// What the pieces of one large entry, and those of a run of older entries, share while they are written.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "zip/codec.hpp"
#include "zip/entry.hpp"
#include "zip/format.hpp"

namespace zipmodule::zip {

// Of aligned entries, whose blocks may be shared, chunks are larger: on XFS and btrfs who shares locks both files, and
// whoever reads the source for the CRC waits. 2 GB on XFS, 2 threads: 0.85 s with 2 MiB, 0.73 with 8, 0.60 with 32; one file
// 1.04, 0.81, 0.59, and with 128 MiB 1.54, as there is too little to share out.
inline constexpr std::uint64_t k_aligned_chunk_bytes = std::uint64_t{16} * k_chunk_bytes;

// An entry written in chunks by many threads. Lives until its last chunk and its header are written.
struct LargeEntry {
  // constant after construction
  std::unique_ptr<EntryReader> reader;
  EntryView view;
  Method method = Method::stored;
  std::uint64_t bytes_to_read = 0;       // the entry's size, or its compressed size where that is copied
  std::optional<std::uint32_t> raw_crc;  // set where compressed data is copied
  std::optional<FileRange> range;        // the reader's
  bool clone = false;                    // blocks may be shared with the reader's file
  Fetchers* fetchers = nullptr;          // where they wait for its bytes
  std::uint64_t chunk_bytes = k_chunk_bytes;
  std::size_t chunks = 0;

  // Whether its bytes go to the archive as they are read.
  bool unpacked() const noexcept { return method == Method::stored || raw_crc.has_value(); }
  // Whether they are read only when they have their place; what is fetched from elsewhere is asked for before.
  bool copied() const noexcept { return unpacked() && fetchers == nullptr; }
  std::uint64_t chunk_offset(std::size_t chunk) const noexcept { return chunk * chunk_bytes; }
  std::uint64_t chunk_size(std::size_t chunk) const noexcept {
    return std::min(chunk_bytes, bytes_to_read - chunk_offset(chunk));
  }

  // each element written by the chunk's own thread
  std::vector<std::uint32_t> crcs;

  std::size_t header_bytes = 0;  // written when the header is placed
  std::atomic<std::uint64_t> compressed_bytes{0};
  std::atomic<std::size_t> unread_chunks{0};
  std::atomic<std::size_t> unfinished_chunks{0};
  // chunks, and the header's place; whoever ends the last writes the header
  std::atomic<std::size_t> unfinished_parts{0};
};

// A run of older entries is copied in pieces of this size: several threads share it, and a stop is seen between them.
inline constexpr std::uint64_t k_older_piece = std::uint64_t{8} << 20U;

// Entries that lie one behind the other in an older archive and in this one: copied with their headers.
struct OlderEntries {
  std::unique_ptr<EntryReader> reader;  // of the first entry's data
  FileRange range;                      // the first entry's header
  std::uint64_t bytes = 0;
  std::uint64_t size_bytes = 0;  // of the entries, uncompressed
  std::size_t first = 0;         // in the plan
  std::size_t count = 0;
  std::atomic<std::size_t> unfinished_pieces{0};
};

}  // namespace zipmodule::zip
