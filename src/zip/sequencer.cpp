#include "zip/sequencer.hpp"

#include <utility>

#include "zip/format.hpp"

namespace zipmodule::zip {

Piece& Sequencer::append(std::unique_ptr<Piece> piece, std::optional<std::uint64_t> size) {
  piece->size_ = size.value_or(0);
  piece->size_known_ = size.has_value();
  Piece& appended = *piece;
  std::lock_guard lock(mutex_);
  piece->number_ = first_number_ + pieces_.size();
  pieces_.push_back(std::move(piece));
  Pieces none;  // an appended piece is not ready yet, and nothing behind it waits
  place(none);
  return appended;
}

Sequencer::Pieces Sequencer::ready(Piece& piece, std::uint64_t size) {
  Pieces out;
  std::lock_guard lock(mutex_);
  if (!piece.size_known_) piece.size_ = size;
  piece.size_known_ = true;
  piece.ready_ = true;
  const auto index = static_cast<std::size_t>(piece.number_ - first_number_);
  if (index < placed_) out.push_back(std::move(pieces_[index]));
  place(out);
  return out;
}

void Sequencer::place(Pieces& out) {
  while (placed_ < pieces_.size() && pieces_[placed_]->size_known_) {
    auto& piece = pieces_[placed_++];
    piece->offset = end_;
    if (piece->align_next) piece->size_ += padding_at(end_ + piece->size_);
    end_ += piece->size_;
    if (piece->ready_) out.push_back(std::move(piece));
  }
  while (!pieces_.empty() && !pieces_.front()) {
    pieces_.pop_front();
    ++first_number_;
    --placed_;
  }
}

std::uint64_t Sequencer::end() const {
  std::lock_guard lock(mutex_);
  return end_;
}

}  // namespace zipmodule::zip
