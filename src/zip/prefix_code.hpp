// Deflate's prefix codes as decoding tables (RFC 1951, 3.2.2). Private to src/zip.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zipmodule::zip {

inline constexpr unsigned k_code_bits_most = 15;  // RFC 1951, 3.2.7

// What a decoded code stands for; four bytes, so that a table of them stays in the fastest cache.
struct Symbol {
  // Values of extra_bits that are no count of bits.
  static constexpr std::uint8_t k_literal = 0x80;
  static constexpr std::uint8_t k_end = 0x40;
  static constexpr std::uint8_t k_invalid = 0x20;

  std::uint16_t base = 0;               // the literal, or the least length or distance
  std::uint8_t extra_bits = k_invalid;  // that follow the code and are added to base
  std::uint8_t code_bits = 0;           // 0 in a table: the code is longer than the table's index

  bool is_literal() const noexcept { return extra_bits == k_literal; }
  bool is_end() const noexcept { return extra_bits == k_end; }
  bool is_copy() const noexcept { return extra_bits < k_invalid; }
  bool is_valid() const noexcept { return extra_bits != k_invalid; }
};

// A table for codes of up to `index_bits`, and canonical decoding, a bit at a time, for the rare longer ones. 11 bits for
// literals and lengths: a table of 8 KiB is filled in about a microsecond, and 98 % of text's symbols are in it.
class PrefixCode {
 public:
  // How complete the code is: a writer that every reader understands makes complete ones only.
  enum class Fit { complete, incomplete, oversubscribed };

  // `meaning[i]` is what symbol i stands for; lengths[i] its code's length, 0 for none.
  Fit build(std::span<const std::uint8_t> lengths, std::span<const Symbol> meaning, unsigned index_bits);

  // The same as decode() where the code is no longer than the table's index, which is the build()'s; else code_bits is 0.
  template <unsigned index_bits>
  Symbol at(std::uint64_t bits) const noexcept {
    return table_[bits & ((std::size_t{1} << index_bits) - 1)];
  }

  // The symbol at the low end of `bits`; code_bits of what is returned are to be dropped.
  Symbol decode(std::uint64_t bits) const noexcept {
    const Symbol symbol = table_[bits & ((std::size_t{1} << index_bits_) - 1)];
    return symbol.code_bits != 0 ? symbol : decode_long(bits);
  }

 private:
  Symbol decode_long(std::uint64_t bits) const noexcept;
  void fill_table();

  static constexpr unsigned k_index_bits_most = 11;
  static constexpr std::size_t k_symbols_most = 288;

  unsigned index_bits_ = 0;
  std::array<Symbol, std::size_t{1} << k_index_bits_most> table_;  // only what build() filled is read
  std::array<std::uint16_t, k_code_bits_most + 1> counts_{};       // of codes by length
  std::array<Symbol, k_symbols_most> sorted_;                      // by length, then by symbol
};

// What the symbols of the three alphabets stand for (RFC 1951, 3.2.5 and 3.2.7).
std::span<const Symbol> literal_length_meaning() noexcept;
std::span<const Symbol> distance_meaning() noexcept;
std::span<const Symbol> precode_meaning() noexcept;

}  // namespace zipmodule::zip
