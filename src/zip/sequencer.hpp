// Gives pieces of a file their offsets in plan order, while their sizes become known in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/byte_budget.hpp"
#include "zip/entry.hpp"

namespace zipmodule::zip {

struct LargeEntry;
struct OlderEntries;

// One piece of the file.
struct Piece {
  enum class Role : std::uint8_t {
    entry,   // a small entry with its header: `data` is all of it
    header,  // the place of a large entry's header, which is written when the rest is known
    chunk,   // of a large entry, in `data`
    copy,    // of a large entry, or of older entries with their headers; read when it is placed, `data` stays empty
  };
  Role role = Role::entry;
  std::size_t entry = 0;
  std::size_t chunk = 0;                // of the large entry or the run of older entries
  std::shared_ptr<LargeEntry> large;    // set for header, chunk and copy, unless `older` is
  std::shared_ptr<OlderEntries> older;  // a run of them
  std::unique_ptr<EntryReader> reader;  // of a small entry whose source was opened early, until it is read
  std::vector<std::byte> source;        // its bytes, where they were fetched before anybody works on it
  std::vector<std::byte> data;          // filled by the thread that works on it, before ready()
  ByteBudget::Ticket window;            // its share of what its fetchers may hold; given back after `ticket` was
  ByteBudget::Ticket ticket;            // its share of the bytes in flight
  // Where set, the piece is made longer, so that what follows it begins at a multiple of k_block_bytes.
  bool align_next = false;
  std::uint64_t offset = 0;  // in the file; valid once handed out by ready(), as size()
  std::uint64_t size() const noexcept { return size_; }

 private:
  friend class Sequencer;
  std::uint64_t number_ = 0;
  std::uint64_t size_ = 0;
  bool size_known_ = false;
  bool ready_ = false;
};

// Thread-safe. A piece can be written once it is placed (all sizes before it are known) and ready (its data is here).
// Whichever call brings a piece that far hands it out, exactly once, and its caller writes it without any lock.
class Sequencer {
 public:
  using Pieces = std::vector<std::unique_ptr<Piece>>;

  // The next piece in the file's order, with its size where that is known already (for align_next, the least). For the one
  // thread that plans. The sequencer owns the piece until it is handed out.
  Piece& append(std::unique_ptr<Piece> piece, std::optional<std::uint64_t> size);

  // The piece's data is in it and takes `size` bytes of the file (the same as before where that was known). Returns what
  // can be written now; `piece` is not to be touched afterwards unless it is among that.
  Pieces ready(Piece& piece, std::uint64_t size);

  // Where the next piece to be placed will begin: the end of the file, once all pieces are handed out.
  std::uint64_t end() const;

 private:
  void place(Pieces& out);

  mutable std::mutex mutex_;
  std::deque<std::unique_ptr<Piece>> pieces_;  // in order; null where handed out
  std::uint64_t first_number_ = 0;             // of pieces_.front()
  std::size_t placed_ = 0;                     // how many of pieces_, from the front, have their offset
  std::uint64_t end_ = 0;
};

}  // namespace zipmodule::zip
