// Deflate streams that no library writes, bit by bit.
#pragma once

#include <cstddef>
#include <vector>

namespace zipmodule::zip {

class BitWriter {
 public:
  // The `count` low bits of `value`, from the least significant on (RFC 1951, 3.1.1).
  BitWriter& put(unsigned value, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      if (used_ % 8 == 0) bytes_.push_back(std::byte{0});
      if ((value >> i & 1U) != 0) bytes_.back() |= std::byte{1} << (used_ % 8);
      ++used_;
    }
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::size_t used_ = 0;
};

// A final dynamic block that holds `count` times "a": literal 'a' and end-of-block of one bit each, and distance codes of the lengths
// given, each 0, 1 or 2. `precode_18` of 3 instead of 2 leaves the code of the code lengths incomplete.
inline std::vector<std::byte> block_with_distances(const std::vector<unsigned>& lengths, unsigned precode_18 = 2,
                                                   unsigned count = 1) {
  BitWriter bits;
  bits.put(1, 1).put(2, 2);
  bits.put(0, 5).put(static_cast<unsigned>(lengths.size()) - 1, 5).put(18 - 4, 4);
  // Precode: symbols 0, 1, 2 and 18 of two bits each, in the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1.
  for (const unsigned length : {0U, 0U, precode_18, 2U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 2U, 0U, 2U}) {
    bits.put(length, 3);
  }
  // Canonical: 0 -> 00, 1 -> 01, 2 -> 10, 18 -> 11 or 110; codes go most significant bit first.
  const auto code = [&](unsigned symbol) { bits.put(symbol == 0 ? 0U : symbol == 1 ? 2U : 1U, 2); };
  const auto zeros = [&](unsigned run) { bits.put(3, precode_18).put(run - 11, 7); };
  zeros(97);  // up to 'a'
  code(1);
  zeros(138);
  zeros(20);
  code(1);  // 256
  for (const unsigned length : lengths) code(length);
  for (unsigned i = 0; i < count; ++i) bits.put(0, 1);
  bits.put(1, 1);  // end of block
  return bits.bytes();
}

}  // namespace zipmodule::zip
