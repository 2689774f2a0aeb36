#include "zip/prefix_code.hpp"

#include <algorithm>
#include <bit>

namespace zipmodule::zip {
namespace {

constexpr auto k_literal_length = [] {
  std::array<Symbol, 288> meaning{};
  for (std::uint16_t i = 0; i < 256; ++i) meaning[i] = Symbol::literal(i);
  meaning[256] = Symbol::end();
  std::uint16_t base = 3;
  for (std::size_t i = 257; i < 285; ++i) {
    const auto extra = static_cast<unsigned>(i < 265 ? 0 : (i - 261) / 4);
    meaning[i] = Symbol::copy(base, extra);
    base = static_cast<std::uint16_t>(base + (1U << extra));
  }
  meaning[285] = Symbol::copy(258, 0);
  return meaning;  // 286 and 287 stay invalid
}();

constexpr auto k_distance = [] {
  std::array<Symbol, 32> meaning{};
  std::uint16_t base = 1;
  for (std::size_t i = 0; i < 30; ++i) {
    const auto extra = static_cast<unsigned>(i < 4 ? 0 : (i - 2) / 2);
    meaning[i] = Symbol::copy(base, extra);
    base = static_cast<std::uint16_t>(base + (1U << extra));
  }
  return meaning;  // 30 and 31 stay invalid
}();

constexpr auto k_precode = [] {
  std::array<Symbol, 19> meaning{};
  for (std::uint16_t i = 0; i < 19; ++i) meaning[i] = Symbol::literal(i);
  return meaning;
}();

}  // namespace

std::span<const Symbol> literal_length_meaning() noexcept { return k_literal_length; }
std::span<const Symbol> distance_meaning() noexcept { return k_distance; }
std::span<const Symbol> precode_meaning() noexcept { return k_precode; }

PrefixCode::Fit PrefixCode::build(std::span<const std::uint8_t> lengths, std::span<const Symbol> meaning,
                                  unsigned index_bits) {
  index_bits_ = index_bits;
  counts_.fill(0);
  for (const auto length : lengths) ++counts_[length];
  counts_[0] = 0;
  std::array<std::uint16_t, k_code_bits_most + 2> position{};  // in sorted_, of each length's next symbol
  std::uint32_t space = 0;                                     // taken, of 1 << 15
  for (unsigned bits = 1; bits <= k_code_bits_most; ++bits) {
    position[bits + 1] = static_cast<std::uint16_t>(position[bits] + counts_[bits]);
    space += std::uint32_t{counts_[bits]} << (k_code_bits_most - bits);
  }
  constexpr std::uint32_t k_full = 1U << k_code_bits_most;
  if (space > k_full) return Fit::oversubscribed;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) continue;
    sorted_[position[lengths[i]]++] = meaning[i].with_code(lengths[i]);
  }
  fill_table();
  return space == k_full ? Fit::complete : Fit::incomplete;
}

// Codes are packed from their most significant bit on, all else from the least (RFC 1951, 3.1.1): so the table is indexed
// by reversed codes. It is filled for one-bit codes first, then copied behind itself for each bit more: what shorter codes
// put there is repeated by that, and what no code claims stays empty, for decode_long.
void PrefixCode::fill_table() {
  table_[0] = table_[1] = {};
  const Symbol* symbol = sorted_.data();
  std::size_t code = 0;  // reversed
  for (unsigned bits = 1; bits <= index_bits_; ++bits) {
    const std::size_t size = std::size_t{1} << bits;
    if (bits > 1) std::copy_n(table_.begin(), size / 2, table_.begin() + static_cast<std::ptrdiff_t>(size / 2));
    for (unsigned i = counts_[bits]; i > 0; --i) {
      table_[code] = *symbol++;
      // The next code, reversed: the highest zero bit becomes one, all ones above it zero.
      const std::size_t zeros = ~code & (size - 1);
      if (zeros == 0) {
        code = 0;
        continue;
      }
      const std::size_t highest = std::bit_floor(zeros);
      code = (code & (highest - 1)) | highest;
    }
  }
}

Symbol PrefixCode::decode_long(std::uint64_t bits) const noexcept {
  unsigned code = 0;
  unsigned first = 0;
  unsigned index = 0;
  for (unsigned length = 1; length <= k_code_bits_most; ++length) {
    code |= static_cast<unsigned>(bits & 1U);
    bits >>= 1U;
    const unsigned count = counts_[length];
    if (code < first + count) return sorted_[index + (code - first)];
    index += count;
    first = (first + count) << 1U;
    code <<= 1U;
  }
  return {};
}

}  // namespace zipmodule::zip
