// Texts side by side, for as long as the pool lives. Unlike one long string it is never there twice while it grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace zipmodule::archive {

// Not thread-safe while texts are added; any number of threads may read afterwards.
class TextPool {
 public:
  // Returns the text's place.
  std::uint64_t add(std::string_view text) {
    if (text.size() > free_) {
      free_ = std::max(text.size(), k_block_bytes);
      used_ = 0;
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(free_));
    }
    if (!text.empty()) std::memcpy(blocks_.back().get() + used_, text.data(), text.size());
    const std::uint64_t place = ((blocks_.empty() ? 0 : blocks_.size() - 1) << k_block_shift) | used_;
    used_ += text.size();
    free_ -= text.size();
    return place;
  }

  std::string_view at(std::uint64_t place, std::size_t bytes) const noexcept {
    if (bytes == 0) return {};
    return {blocks_[place >> k_block_shift].get() + (place & k_offset), bytes};
  }

 private:
  static constexpr std::size_t k_block_bytes = std::size_t{64} << 10U;
  static constexpr unsigned k_block_shift = 32;
  static constexpr std::uint64_t k_offset = (std::uint64_t{1} << k_block_shift) - 1;

  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t used_ = 0;  // of the last block
  std::size_t free_ = 0;
};

}  // namespace zipmodule::archive
