#include "zip/deflate_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

namespace zipmodule::zip {
namespace {

// Ends a walk; never leaves this file.
struct BrokenRule : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Bits {
 public:
  explicit Bits(std::span<const std::byte> stream) : stream_(stream) {}

  unsigned next() {
    if (at_ == stream_.size() * 8) throw BrokenRule("the stream ends in the middle of a block");
    const auto byte = static_cast<unsigned>(stream_[at_ / 8]);
    return byte >> (at_++ % 8) & 1U;
  }
  // Fields begin with their least significant bit (3.1.1).
  unsigned field(unsigned bits) {
    unsigned value = 0;
    for (unsigned i = 0; i < bits; ++i) value |= next() << i;
    return value;
  }
  void skip_to_byte() { at_ = (at_ + 7) / 8 * 8; }
  std::size_t bytes_used() const { return (at_ + 7) / 8; }

 private:
  std::span<const std::byte> stream_;
  std::size_t at_ = 0;
};

// The codes of one alphabet, from their lengths (3.2.2).
class Codes {
 public:
  Codes(const char* what, std::span<const unsigned> lengths) {
    std::size_t space = 0;  // taken, of 1 << 15
    for (const unsigned length : lengths) {
      if (length == 0) continue;
      ++count_[length];
      ++used_;
      space += std::size_t{1} << (15 - length);
    }
    for (unsigned length = 1; length <= 15; ++length) {
      for (unsigned symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] == length) symbols_.push_back(symbol);
      }
    }
    fits_ = space == std::size_t{1} << 15;
    if (!fits_) problem_ = fmt::format("{} {} codes", space > (std::size_t{1} << 15) ? "too many" : "incomplete", what);
  }

  unsigned used() const { return used_; }
  void require_complete() const {
    if (!fits_) throw BrokenRule(problem_);
  }
  // Codes begin with their most significant bit, and those of one length follow each other.
  unsigned decode(Bits& bits) const {
    unsigned code = 0;
    unsigned first = 0;
    unsigned index = 0;
    for (unsigned length = 1; length <= 15; ++length) {
      code = code << 1U | bits.next();
      first <<= 1U;
      if (code < first + count_[length]) return symbols_[index + code - first];
      first += count_[length];
      index += count_[length];
    }
    throw BrokenRule("bits that are no code");
  }

 private:
  std::array<unsigned, 16> count_{};
  std::vector<unsigned> symbols_;
  unsigned used_ = 0;
  bool fits_ = false;
  std::string problem_;
};

// The table of 3.2.5: each group of codes has one extra bit more than the one before.
unsigned copy_length(unsigned symbol, Bits& bits) {
  if (symbol > 285) throw BrokenRule(fmt::format("length code {}", symbol));
  if (symbol == 285) return 258;
  const unsigned code = symbol - 257;
  if (code < 8) return 3 + code;
  const unsigned extra = code / 4 - 1;
  return 3 + ((4 + code % 4) << extra) + bits.field(extra);
}

unsigned copy_distance(unsigned code, Bits& bits) {
  if (code > 29) throw BrokenRule(fmt::format("distance code {}", code));
  if (code < 4) return 1 + code;
  const unsigned extra = code / 2 - 1;
  return 1 + ((2 + code % 2) << extra) + bits.field(extra);
}

class Walker {
 public:
  explicit Walker(std::span<const std::byte> stream) : bits_(stream), stream_bytes_(stream.size()) {}

  DeflateWalk run() {
    try {
      for (bool last = false; !last;) {
        last = bits_.next() == 1;
        block(bits_.field(2));
      }
      if (bits_.bytes_used() != stream_bytes_) throw BrokenRule("bytes behind the last block");
    } catch (const BrokenRule& rule) {
      walk_.problem = fmt::format("block {}: {}", blocks_, rule.what());
    }
    return walk_;
  }

 private:
  void block(unsigned type) {
    ++blocks_;
    if (type == 0) {
      ++walk_.stored_blocks;
      stored();
    } else if (type == 1) {
      ++walk_.fixed_blocks;
      fixed();
    } else if (type == 2) {
      ++walk_.dynamic_blocks;
      dynamic();
    } else {
      throw BrokenRule("the reserved block type");
    }
  }
  void stored();   // 3.2.4
  void fixed();    // 3.2.6
  void dynamic();  // 3.2.7
  std::vector<unsigned> code_lengths(const Codes& precode, std::size_t count);
  void symbols(const Codes& literals, const Codes& distances);

  Bits bits_;
  const std::size_t stream_bytes_;
  std::uint64_t blocks_ = 0;
  DeflateWalk walk_;
};

void Walker::stored() {
  bits_.skip_to_byte();
  const unsigned length = bits_.field(16);
  if ((length ^ bits_.field(16)) != 0xFFFF) throw BrokenRule("a stored block whose lengths contradict each other");
  for (unsigned i = 0; i < length; ++i) bits_.field(8);
  walk_.decoded_bytes += length;
}

void Walker::fixed() {
  std::vector<unsigned> lengths(288, 8);
  std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
  std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
  static const Codes k_literals("literal", lengths);
  static const Codes k_distances("distance", std::vector<unsigned>(32, 5));
  symbols(k_literals, k_distances);
}

std::vector<unsigned> Walker::code_lengths(const Codes& precode, std::size_t count) {
  std::vector<unsigned> lengths;
  while (lengths.size() < count) {
    const unsigned symbol = precode.decode(bits_);
    if (symbol < 16) {
      lengths.push_back(symbol);
      continue;
    }
    if (symbol == 16 && lengths.empty()) throw BrokenRule("a repeated code length with none before it");
    const unsigned repeated = symbol == 16 ? lengths.back() : 0;
    const unsigned times = symbol == 16 ? 3 + bits_.field(2) : symbol == 17 ? 3 + bits_.field(3) : 11 + bits_.field(7);
    lengths.insert(lengths.end(), times, repeated);
  }
  if (lengths.size() > count) throw BrokenRule("code lengths repeated past their end");
  return lengths;
}

void Walker::dynamic() {
  static constexpr std::array<unsigned, 19> k_order{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  const unsigned literals = 257 + bits_.field(5);
  const unsigned distances = 1 + bits_.field(5);
  if (literals > 286) throw BrokenRule(fmt::format("{} literal and length codes", literals));
  if (distances > 30) throw BrokenRule(fmt::format("room for {} distance codes", distances));
  std::array<unsigned, 19> precode_lengths{};
  const unsigned precodes = 4 + bits_.field(4);
  for (unsigned i = 0; i < precodes; ++i) precode_lengths[k_order[i]] = bits_.field(3);
  const Codes precode("code length", precode_lengths);
  precode.require_complete();
  const auto lengths = code_lengths(precode, literals + distances);
  const auto all = std::span(lengths);
  const Codes literal_codes("literal and length", all.first(literals));
  const Codes distance_codes("distance", all.subspan(literals));
  if (lengths[256] == 0) throw BrokenRule("no end-of-block code");
  literal_codes.require_complete();
  const unsigned used = distance_codes.used();
  walk_.fewest_distance_codes = walk_.dynamic_blocks == 1 ? used : std::min(walk_.fewest_distance_codes, used);
  if (used < 2) throw BrokenRule(fmt::format("a dynamic block with {} distance codes", used));
  distance_codes.require_complete();
  symbols(literal_codes, distance_codes);
}

void Walker::symbols(const Codes& literals, const Codes& distances) {
  for (;;) {
    const unsigned symbol = literals.decode(bits_);
    if (symbol == 256) return;
    if (symbol < 256) {
      ++walk_.decoded_bytes;
      continue;
    }
    const unsigned length = copy_length(symbol, bits_);
    const unsigned distance = copy_distance(distances.decode(bits_), bits_);
    if (distance > walk_.decoded_bytes) throw BrokenRule("a distance that leads before the first byte");
    walk_.decoded_bytes += length;
  }
}

}  // namespace

DeflateWalk walk_deflate(std::span<const std::byte> stream) { return Walker(stream).run(); }

}  // namespace zipmodule::zip
