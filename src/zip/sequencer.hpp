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

namespace zipmodule::zip {

struct LargeEntry;

// One piece of the file: a small entry with its header, the header of a large one, or a chunk of its data.
struct Piece {
  std::size_t entry = 0;
  std::shared_ptr<LargeEntry> large;  // null for a small entry
  std::vector<std::byte> data;        // filled by the thread that works on it, before ready(); may stay empty
  ByteBudget::Ticket ticket;          // its share of the bytes in flight
  std::uint64_t offset = 0;           // in the file; valid once handed out by ready()

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

  // The next piece in the file's order, with its size where that is known already. For the one thread that plans.
  // The sequencer owns the piece until it is handed out.
  Piece& append(std::size_t entry, std::shared_ptr<LargeEntry> large, std::optional<std::uint64_t> size,
                ByteBudget::Ticket ticket);

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
