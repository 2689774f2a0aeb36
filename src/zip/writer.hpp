// Writes one archive: entries in plan order, compressed and copied by many threads in bounded memory.
//
//   plan order -> budget -> [pool: read, CRC, compress, check] -> sequencer -> [same thread: pwrite at the offset]
//
// The local header is written together with a small entry, and behind the data of a large one, when its CRC is known.
// Same plan, same content, same level: the same bytes, whatever the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>

#include "base/byte_budget.hpp"
#include "base/thread_pool.hpp"
#include "zip/entry.hpp"
#include "zip/level.hpp"

namespace zipmodule::zip {

// What a build may use; shared with other builds, and must outlive the call.
struct Resources {
  ThreadPool& pool;
  ByteBudget& budget;  // bytes in flight over all builds
};

struct WriteOptions {
  Level level = Level::balanced;
  bool allow_empty = false;                        // an archive without entries: its 22-byte end record
  std::atomic<std::uint64_t>* progress = nullptr;  // counts source bytes as they are done; may be null
  bool align = false;       // stored data of 128 KiB and more begins at a block, so that file systems can share it
  bool write_back = false;  // send what is written to the disk meanwhile: for callers that sync afterwards
};

// Seconds are summed over the threads that worked.
struct WriteResult {
  std::uint64_t bytes_in = 0;   // read: of entries copied from another archive, their compressed bytes
  std::uint64_t bytes_out = 0;  // the size of the archive
  std::uint64_t entries = 0;
  std::uint64_t bytes_shared = 0;  // of the archive, with other files' blocks
  double read_seconds = 0;
  double compress_seconds = 0;  // with the check of what was compressed
  double write_seconds = 0;
  double cpu_seconds = 0;  // of the pool's threads; the caller's own thread counts itself
};

// No archive of these entries takes more, nor does the file while it is written: a first pass may deflate what a second one
// stores.
std::uint64_t most_bytes(const EntryList& entries, bool align);

// Writes to `fd`, a seekable file that is empty; `path` is for messages. Does not sync. Blocks until done; work is done
// by resources.pool. Throws what Content and EntryReader throw, Error{source_changed} where a source's size is not the
// planned one, Error{empty}, Error{disk_full, store_unwritable, io} for `fd`, Error{stopped} when `stop` is requested.
// After an error the file's content and size are undefined. With options.align the file is as long as it can become while it
// is written, with a hole at its end.
WriteResult write_archive(int fd, const std::string& path, const EntryList& entries, Content& content,
                          const WriteOptions& options, const Resources& resources, const std::stop_token& stop);

}  // namespace zipmodule::zip
