// Deflate's prefix codes as decoding tables (RFC 1951, 3.2.2). Private to src/zip.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zipmodule::zip {

inline constexpr unsigned k_code_bits_most = 15;  // RFC 1951, 3.2.7

// What a decoded code stands for, in four bytes, so that a table of them stays in the fastest cache. The low byte is what
// to drop: the next symbol waits for that shift alone, and a processor takes its count from a register's low bits as it is.
//   bits 0-7   bits of the code and of its extra bits; 0 in a table: the code is longer than the table's index
//   bits 8-11  bits of the code
//   bits 14-15 kind
//   bits 16-31 the literal, or the least length or distance
class Symbol {
 public:
  constexpr Symbol() noexcept = default;  // invalid
  static constexpr Symbol literal(std::uint16_t value) noexcept {
    return Symbol(k_literal | std::uint32_t{value} << 16U);
  }
  // A length or distance: `extra_bits` follow the code and are added to `base`.
  static constexpr Symbol copy(std::uint16_t base, unsigned extra_bits) noexcept {
    return Symbol(extra_bits | std::uint32_t{base} << 16U);
  }
  static constexpr Symbol end() noexcept { return Symbol(k_end); }
  constexpr Symbol with_code(unsigned bits) const noexcept { return Symbol((packed_ + bits) | bits << 8U); }

  // Three of the four kinds in one test each; what is none of them is invalid.
  bool is_literal() const noexcept { return (packed_ & k_kind) == k_literal; }
  bool is_end() const noexcept { return (packed_ & k_kind) == k_end; }
  bool is_copy() const noexcept { return (packed_ & k_kind) == k_copy; }
  bool is_valid() const noexcept { return (packed_ & k_kind) != k_invalid; }
  bool is_in_table() const noexcept { return (packed_ & 0xFFU) != 0; }

  std::uint32_t base() const noexcept { return packed_ >> 16U; }
  unsigned code_bits() const noexcept { return packed_ >> 8U & 15U; }
  unsigned bits() const noexcept { return packed_ & 0xFFU; }  // of code and extra bits, to be dropped

 private:
  static constexpr std::uint32_t k_copy = 0;
  static constexpr std::uint32_t k_literal = 1U << 15U;
  static constexpr std::uint32_t k_end = 1U << 14U;
  static constexpr std::uint32_t k_invalid = k_literal | k_end;
  static constexpr std::uint32_t k_kind = k_invalid;

  constexpr explicit Symbol(std::uint32_t packed) noexcept : packed_(packed) {}

  std::uint32_t packed_ = k_invalid;
};

// A table for codes of up to `index_bits`, and canonical decoding, a bit at a time, for the rare longer ones. 11 bits for
// literals and lengths: a table of 8 KiB is filled in about a microsecond, and 98 % of text's symbols are in it.
class PrefixCode {
 public:
  // How complete the code is: a writer that every reader understands makes complete ones only.
  enum class Fit { complete, incomplete, oversubscribed };

  // `meaning[i]` is what symbol i stands for; lengths[i] its code's length, 0 for none.
  Fit build(std::span<const std::uint8_t> lengths, std::span<const Symbol> meaning, unsigned index_bits);

  // The same as decode() where the code is no longer than the table's index, which is the build()'s; else !is_in_table().
  template <unsigned index_bits>
  Symbol at(std::uint64_t bits) const noexcept {
    return table_[bits & ((std::size_t{1} << index_bits) - 1)];
  }

  // The symbol at the low end of `bits`.
  Symbol decode(std::uint64_t bits) const noexcept {
    const Symbol symbol = table_[bits & ((std::size_t{1} << index_bits_) - 1)];
    return symbol.is_in_table() ? symbol : decode_long(bits);
  }

 private:
  Symbol decode_long(std::uint64_t bits) const noexcept;
  void fill_table();

  static constexpr unsigned k_index_bits_most = 11;
  static constexpr std::size_t k_symbols_most = 288;

  unsigned index_bits_ = 0;
  std::array<Symbol, std::size_t{1} << k_index_bits_most> table_;  // invalid but for what build() filled
  std::array<std::uint16_t, k_code_bits_most + 1> counts_{};       // of codes by length
  std::array<Symbol, k_symbols_most> sorted_;                      // by length, then by symbol
};

// What the symbols of the three alphabets stand for (RFC 1951, 3.2.5 and 3.2.7).
std::span<const Symbol> literal_length_meaning() noexcept;
std::span<const Symbol> distance_meaning() noexcept;
std::span<const Symbol> precode_meaning() noexcept;

}  // namespace zipmodule::zip
