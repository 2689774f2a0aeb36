#include "zip/deflate_stream.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "zip/prefix_code.hpp"

namespace zipmodule::zip {
namespace {

std::uint64_t load_word(const std::byte* p) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

// The stream's bits, least significant first (RFC 1951, 3.1.1). Past the end come zeros, which overrun() tells.
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> data) : data_(data) {}

  // At least 56 bits are in bits() after it.
  void refill() noexcept {
    if (data_.size() - at_ >= 8) {
      buffer_ |= load_word(data_.data() + at_) << count_;
      at_ += (63 - count_) / 8;
      count_ |= 56;
      return;
    }
    while (count_ <= 56) {
      if (at_ < data_.size())
        buffer_ |= static_cast<std::uint64_t>(data_[at_++]) << count_;
      else
        ++missing_bytes_;
      count_ += 8;
    }
  }
  // The same unasked: is_far_from_end(8) has to be true.
  void refill_far_from_end() noexcept {
    buffer_ |= load_word(data_.data() + at_) << count_;
    at_ += (63 - count_) / 8;
    count_ |= 56;
  }
  bool is_far_from_end(std::size_t bytes) const noexcept { return data_.size() - at_ >= bytes; }
  std::uint64_t bits() const noexcept { return buffer_; }
  void drop(unsigned count) noexcept {
    buffer_ >>= count;
    count_ -= count;
  }
  unsigned take(unsigned count) noexcept {
    const auto value = static_cast<unsigned>(buffer_ & ((std::uint64_t{1} << count) - 1));
    drop(count);
    return value;
  }
  // Of a length or distance, whose code and extra bits are next.
  std::size_t take_value(Symbol symbol) noexcept {
    const std::uint64_t code_and_extra = buffer_ & ((std::uint64_t{1} << symbol.bits()) - 1);
    drop(symbol.bits());
    return symbol.base() + static_cast<std::size_t>(code_and_extra >> symbol.code_bits());
  }

  // Of the next bit.
  std::uint64_t position() const noexcept { return (std::uint64_t{at_} + missing_bytes_) * 8 - count_; }
  bool overrun() const noexcept { return position() > std::uint64_t{data_.size()} * 8; }

  // `count` whole bytes from the next byte border on; empty where there are fewer.
  std::span<const std::byte> take_bytes(std::size_t count) noexcept {
    const std::uint64_t begin = (position() + 7) / 8;
    if (begin > data_.size() || count > data_.size() - begin) return {};
    buffer_ = 0;
    count_ = 0;
    missing_bytes_ = 0;
    at_ = static_cast<std::size_t>(begin) + count;
    return data_.subspan(static_cast<std::size_t>(begin), count);
  }

 private:
  std::span<const std::byte> data_;
  std::size_t at_ = 0;
  std::uint64_t buffer_ = 0;
  unsigned count_ = 0;  // valid bits of buffer_
  std::size_t missing_bytes_ = 0;
};

// Decodes a stream against the bytes it should give: nothing is written, every symbol is compared. Faster than decoding
// into a buffer, and an implementation of its own beside the codecs'.
class Checker {
 public:
  Checker(std::span<const std::byte> deflated, std::span<const std::byte> expected)
      : bits_(deflated), deflated_(deflated), expected_(expected) {}

  DeflateFindings run() {
    for (bool last = false; !last;) {
      findings_.last_block_bit = bits_.position();
      bits_.refill();
      last = bits_.take(1) == 1;
      const unsigned type = bits_.take(2);
      const bool good = type == 0 ? stored_block() : type == 1 ? fixed_block() : type == 2 && dynamic_block();
      if (!good || bits_.overrun()) return findings_;
    }
    findings_.end_bit = bits_.position();
    findings_.decodes = at_ == expected_.size() && (findings_.end_bit + 7) / 8 == deflated_.size();
    return findings_;
  }

 private:
  struct Codes {
    PrefixCode literals;
    PrefixCode distances;
  };

  static constexpr unsigned k_literal_index_bits = 11;
  static constexpr unsigned k_distance_index_bits = 8;

  bool stored_block();   // RFC 1951, 3.2.4
  bool fixed_block();    // 3.2.6
  bool dynamic_block();  // 3.2.7
  bool read_lengths(std::span<std::uint8_t> lengths);
  bool symbols(const Codes& codes);
  bool symbols_far_from_ends(const Codes& codes);
  bool copy(std::size_t length, std::size_t distance) noexcept;

  BitReader bits_;
  std::span<const std::byte> deflated_;
  std::span<const std::byte> expected_;
  std::size_t at_ = 0;  // in expected_
  DeflateFindings findings_;
};

bool Checker::stored_block() {
  const auto header = bits_.take_bytes(4);
  if (header.empty()) return false;
  const auto field = [&](std::size_t i) {
    return static_cast<unsigned>(header[i]) | static_cast<unsigned>(header[i + 1]) << 8U;
  };
  const std::size_t length = field(0);
  if ((field(0) ^ field(2)) != 0xFFFF || length > expected_.size() - at_) return false;
  const auto data = bits_.take_bytes(length);
  if (data.size() != length ||
      !std::equal(data.begin(), data.end(), expected_.begin() + static_cast<std::ptrdiff_t>(at_))) {
    return false;
  }
  at_ += length;
  return true;
}

bool Checker::fixed_block() {
  static const Codes k_fixed = [] {
    std::array<std::uint8_t, 288> literals;
    std::fill_n(literals.begin(), 144, std::uint8_t{8});
    std::fill(literals.begin() + 144, literals.begin() + 256, std::uint8_t{9});
    std::fill(literals.begin() + 256, literals.begin() + 280, std::uint8_t{7});
    std::fill(literals.begin() + 280, literals.end(), std::uint8_t{8});
    std::array<std::uint8_t, 32> distances;
    distances.fill(5);
    Codes codes;
    codes.literals.build(literals, literal_length_meaning(), k_literal_index_bits);
    codes.distances.build(distances, distance_meaning(), k_distance_index_bits);
    return codes;
  }();
  return symbols(k_fixed);
}

bool Checker::read_lengths(std::span<std::uint8_t> lengths) {
  static constexpr std::array<std::uint8_t, 19> k_order{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                        11, 4,  12, 3, 13, 2, 14, 1, 15};
  std::array<std::uint8_t, 19> precode_lengths{};
  const unsigned count = bits_.take(4) + 4;
  for (unsigned i = 0; i < count; ++i) {
    bits_.refill();
    precode_lengths[k_order[i]] = static_cast<std::uint8_t>(bits_.take(3));
  }
  PrefixCode precode;
  if (precode.build(precode_lengths, precode_meaning(), 7) != PrefixCode::Fit::complete) return false;
  for (std::size_t i = 0; i < lengths.size();) {
    bits_.refill();
    const Symbol symbol = precode.decode(bits_.bits());
    if (!symbol.is_valid() || bits_.overrun()) return false;
    bits_.drop(symbol.bits());
    const auto value = symbol.base();
    if (value < 16) {
      lengths[i++] = static_cast<std::uint8_t>(value);
      continue;
    }
    if (value == 16 && i == 0) return false;
    const std::uint8_t repeated = value == 16 ? lengths[i - 1] : std::uint8_t{0};
    const std::size_t times = value == 16 ? 3 + bits_.take(2) : value == 17 ? 3 + bits_.take(3) : 11 + bits_.take(7);
    if (times > lengths.size() - i) return false;
    std::fill_n(lengths.begin() + static_cast<std::ptrdiff_t>(i), times, repeated);
    i += times;
  }
  return true;
}

bool Checker::dynamic_block() {
  thread_local Codes codes;  // 30 KiB: not on the stack of every call
  std::array<std::uint8_t, 286 + 30> lengths{};
  const std::size_t literals = bits_.take(5) + 257;
  const std::size_t distances = bits_.take(5) + 1;
  if (literals > 286 || distances > 30) return false;
  const auto all = std::span(lengths).first(literals + distances);
  if (!read_lengths(all)) return false;
  const auto distance_lengths = all.subspan(literals);
  const auto fit = codes.literals.build(all.first(literals), literal_length_meaning(), k_literal_index_bits);
  const auto distance_fit = codes.distances.build(distance_lengths, distance_meaning(), k_distance_index_bits);
  if (fit == PrefixCode::Fit::oversubscribed || distance_fit == PrefixCode::Fit::oversubscribed) return false;
  const auto used =
      std::count_if(distance_lengths.begin(), distance_lengths.end(), [](auto length) { return length > 0; });
  if (used < 2 || fit != PrefixCode::Fit::complete || distance_fit != PrefixCode::Fit::complete)
    findings_.portable_codes = false;
  return symbols(codes);
}

bool Checker::copy(std::size_t length, std::size_t distance) noexcept {
  if (distance > at_ || length > expected_.size() - at_) return false;
  const std::byte* to = expected_.data() + at_;
  const std::byte* from = to - distance;
  at_ += length;
  for (; length >= 8; length -= 8, to += 8, from += 8) {
    if (load_word(to) != load_word(from)) return false;
  }
  // Most matches in text are shorter than a word: one comparison of the bytes that count, where a word can be read.
  if (expected_.data() + expected_.size() - to >= 8) {
    const std::uint64_t counted = (std::uint64_t{1} << (8 * length)) - 1;
    return ((load_word(to) ^ load_word(from)) & counted) == 0;
  }
  return std::equal(to, to + length, from);
}

constexpr std::size_t k_at_once = 32;

// Whether the bytes at `to` repeat those at `from`, of which 16 can be read at both however short the match is. Most
// matches in text are shorter, and how much so can't be predicted: one comparison without a branch for all of them.
bool repeats(const std::byte* to, const std::byte* from, std::size_t length) noexcept {
  static constexpr auto k_counted = [] {
    std::array<std::byte, 2 * k_at_once> counted{};
    for (std::size_t i = 0; i < k_at_once; ++i) counted[i] = std::byte{0xFF};
    return counted;
  }();
  const auto difference = [&](std::size_t at) { return load_word(to + at) ^ load_word(from + at); };
  if (length <= k_at_once) {
    const std::byte* const counted = k_counted.data() + k_at_once - length;
    std::uint64_t found = 0;
    for (std::size_t at = 0; at < k_at_once; at += 8) found |= difference(at) & load_word(counted + at);
    return found == 0;
  }
  for (std::size_t at = 0; length - at > 8; at += 8) {
    if (difference(at) != 0) return false;
  }
  return difference(length - 8) == 0;
}

// What the fast loop asks for before each round: two literals and the longest match, whose comparison reads 16 bytes or its
// length; and of the stream what the round's refills take and read.
constexpr std::size_t k_round_expected = 3 + 258 + k_at_once;
constexpr std::size_t k_round_stream = 32;

// Decodes the middle of a block, where neither bytes nor bits can run out, and leaves the rest of it to symbols(). Each
// symbol is looked up before what precedes it is compared, so that the two don't wait for each other.
bool Checker::symbols_far_from_ends(const Codes& codes) {
  const std::byte* const begin = expected_.data();
  const std::byte* expected = begin + at_;
  const std::byte* const end = begin + expected_.size();
  BitReader bits = bits_;  // a copy that can live in registers
  const auto goes_on = [&] {
    return static_cast<std::size_t>(end - expected) >= k_round_expected && bits.is_far_from_end(k_round_stream);
  };
  const auto look_up = [&] { return codes.literals.at<k_literal_index_bits>(bits.bits()); };
  const auto is_next = [](const std::byte* at, Symbol literal) {
    return *at == static_cast<std::byte>(literal.base());
  };
  if (!goes_on()) return true;
  bits.refill_far_from_end();
  Symbol symbol = look_up();  // not dropped yet: where the loop is left, bits_ is before it
  do {
    // At most the index's 11 bits of 56, thrice.
    if (symbol.is_literal()) {
      const Symbol first = symbol;
      bits.drop(first.bits());
      symbol = look_up();
      if (!is_next(expected++, first)) return false;
      if (symbol.is_literal()) {
        const Symbol second = symbol;
        bits.drop(second.bits());
        symbol = look_up();
        if (!is_next(expected++, second)) return false;
        if (symbol.is_literal()) {
          const Symbol third = symbol;
          bits.drop(third.bits());
          bits.refill_far_from_end();
          symbol = look_up();
          if (!is_next(expected++, third)) return false;
          continue;
        }
      }
      bits.refill_far_from_end();
    }
    if (!symbol.is_copy()) {
      if (symbol.is_in_table()) break;  // the end
      symbol = codes.literals.decode(bits.bits());
      if (symbol.is_literal()) {
        bits.drop(symbol.bits());
        if (!is_next(expected++, symbol)) return false;
        bits.refill_far_from_end();
        symbol = look_up();
        continue;
      }
      if (!symbol.is_copy()) break;  // the end or what is invalid
    }
    // 20 bits of a length and 28 of a distance at most, of 56.
    const std::size_t length = bits.take_value(symbol);
    symbol = codes.distances.at<k_distance_index_bits>(bits.bits());
    if (!symbol.is_copy()) symbol = codes.distances.decode(bits.bits());
    if (!symbol.is_copy()) return false;
    const std::size_t distance = bits.take_value(symbol);
    bits.refill_far_from_end();
    symbol = look_up();
    if (distance > static_cast<std::size_t>(expected - begin)) return false;
    if (!repeats(expected, expected - distance, length)) return false;
    expected += length;
  } while (goes_on());
  bits_ = bits;
  at_ = static_cast<std::size_t>(expected - begin);
  return true;
}

bool Checker::symbols(const Codes& codes) {
  if (!symbols_far_from_ends(codes)) return false;
  BitReader bits = bits_;  // a copy that can live in registers
  const std::byte* expected = expected_.data() + at_;
  const std::byte* const end = expected_.data() + expected_.size();
  const auto next = [&] {
    const Symbol symbol = codes.literals.decode(bits.bits());
    bits.drop(symbol.code_bits());
    return symbol;
  };
  const auto is_next_literal = [&](Symbol symbol) {
    return symbol.is_literal() && expected != end && *expected == static_cast<std::byte>(symbol.base());
  };
  for (;;) {
    bits.refill();
    Symbol symbol = next();
    // Three codes of at most 15 bits fit into the 56 of a refill; a length and a distance with their extra bits into 48.
    for (int i = 0; i < 2 && is_next_literal(symbol); ++i) {
      ++expected;
      symbol = next();
    }
    if (symbol.is_literal()) {
      if (!is_next_literal(symbol)) return false;
      ++expected;
      continue;
    }
    at_ = static_cast<std::size_t>(expected - expected_.data());
    if (!symbol.is_copy()) {
      bits_ = bits;
      return symbol.is_end();
    }
    bits.refill();
    const std::size_t length = symbol.base() + bits.take(symbol.bits() - symbol.code_bits());
    symbol = codes.distances.decode(bits.bits());
    if (!symbol.is_copy()) return false;
    if (!copy(length, bits.take_value(symbol))) return false;
    expected += length;
  }
}

}  // namespace

DeflateFindings inspect_deflate(std::span<const std::byte> deflated, std::span<const std::byte> expected) {
  return Checker(deflated, expected).run();
}

void open_for_joining(std::vector<std::byte>& out, std::size_t begin, const DeflateFindings& findings) {
  out[begin + findings.last_block_bit / 8] &= ~(std::byte{1} << (findings.last_block_bit % 8));
  // What a codec leaves behind the last code would be read as the next block's header.
  if (const auto used = findings.end_bit % 8; used != 0) out.back() &= static_cast<std::byte>((1U << used) - 1);
  out.resize(begin + (findings.end_bit + 3 + 7) / 8);  // three zero bits: not final, stored; then up to the byte's end
  for (const unsigned byte : {0x00U, 0x00U, 0xFFU, 0xFFU}) out.push_back(static_cast<std::byte>(byte));
}

void append_stored_blocks(std::span<const std::byte> data, bool final, std::vector<std::byte>& out) {
  constexpr std::size_t k_most = 65'535;
  do {
    const auto block = data.first(std::min(data.size(), k_most));
    data = data.subspan(block.size());
    const auto length = static_cast<std::uint16_t>(block.size());
    const auto complement = static_cast<std::uint16_t>(~length);
    out.push_back(static_cast<std::byte>(final && data.empty() ? 1 : 0));
    for (const std::uint16_t field : {length, complement}) {
      out.push_back(static_cast<std::byte>(field & 0xFFU));
      out.push_back(static_cast<std::byte>(field >> 8U));
    }
    out.insert(out.end(), block.begin(), block.end());
  } while (!data.empty());
}

}  // namespace zipmodule::zip
