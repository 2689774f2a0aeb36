#include "zip/deflate_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"

namespace zipmodule::zip {
namespace {

class BitReader {
 public:
  BitReader(std::span<const std::byte> data, std::uint64_t bit) : data_(data), bit_(bit) {}

  // At most 16 bits, least significant first (RFC 1951, 3.1.1). Zeros past the end: zlib has found the stream whole.
  unsigned take(unsigned count) noexcept {
    unsigned window = 0;
    const std::uint64_t byte = bit_ / 8;
    for (unsigned i = 0; i < 3 && byte + i < data_.size(); ++i) window |= static_cast<unsigned>(data_[byte + i]) << (8 * i);
    const unsigned value = (window >> (bit_ % 8)) & ((1U << count) - 1);
    bit_ += count;
    return value;
  }

 private:
  std::span<const std::byte> data_;
  std::uint64_t bit_;
};

// Whether code lengths make a complete prefix code (RFC 1951, 3.2.2).
bool complete(std::span<const std::uint8_t> lengths) noexcept {
  std::uint32_t space = 0;
  for (const auto length : lengths) {
    if (length > 0) space += 1U << (15U - length);
  }
  return space == 1U << 15U;
}

// The code that carries the other two codes' lengths (RFC 1951, 3.2.7): 19 symbols, at most 7 bits.
class PrecodeDecoder {
 public:
  explicit PrecodeDecoder(const std::array<std::uint8_t, 19>& lengths) {
    for (const auto length : lengths) ++counts_[length];
    counts_[0] = 0;
    std::array<unsigned, 8> next{};
    for (unsigned length = 1; length < 7; ++length) next[length + 1] = next[length] + counts_[length];
    for (unsigned symbol = 0; symbol < lengths.size(); ++symbol) {
      if (lengths[symbol] > 0) symbols_[next[lengths[symbol]]++] = static_cast<std::uint8_t>(symbol);
    }
  }

  // Canonical decoding, a bit at a time (RFC 1951, 3.2.2).
  unsigned take(BitReader& bits) const noexcept {
    unsigned code = 0;
    unsigned first = 0;
    unsigned index = 0;
    for (unsigned length = 1; length <= 7; ++length) {
      code |= bits.take(1);
      const unsigned count = counts_[length];
      if (code < first + count) return symbols_[index + (code - first)];
      index += count;
      first = (first + count) << 1U;
      code <<= 1U;
    }
    return 0;  // not reached in a stream that zlib has read
  }

 private:
  std::array<unsigned, 8> counts_{};
  std::array<std::uint8_t, 19> symbols_{};
};

// Reads the header of a dynamic block (RFC 1951, 3.2.7) and checks its codes.
bool dynamic_codes_are_portable(BitReader& bits) {
  static constexpr std::array<std::uint8_t, 19> k_order{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  const unsigned literals = bits.take(5) + 257;
  const unsigned distances = bits.take(5) + 1;
  const unsigned precode = bits.take(4) + 4;
  std::array<std::uint8_t, 19> precode_lengths{};
  for (unsigned i = 0; i < precode; ++i) precode_lengths[k_order[i]] = static_cast<std::uint8_t>(bits.take(3));
  const PrecodeDecoder decoder(precode_lengths);
  std::array<std::uint8_t, 288 + 32> lengths{};
  for (unsigned i = 0; i < literals + distances;) {
    const unsigned symbol = decoder.take(bits);
    if (symbol < 16) {
      lengths[i++] = static_cast<std::uint8_t>(symbol);
      continue;
    }
    const std::uint8_t repeated = symbol == 16 && i > 0 ? lengths[i - 1] : std::uint8_t{0};
    const unsigned count = symbol == 16 ? 3 + bits.take(2) : symbol == 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    for (unsigned k = 0; k < count && i < literals + distances; ++k) lengths[i++] = repeated;
  }
  const std::span all(lengths);
  const auto distance_lengths = all.subspan(literals, distances);
  const auto used = std::count_if(distance_lengths.begin(), distance_lengths.end(), [](auto length) { return length > 0; });
  return used >= 2 && complete(distance_lengths) && complete(all.first(literals));
}

// zlib's raw inflater, kept per thread: allocating its window for every small entry would cost more than decoding it.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw Error(ErrorKind::internal, "zlib: out of memory");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& begin(std::span<const std::byte> in, std::span<std::byte> out) {
    inflateReset(&stream_);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));  // zlib's API lacks the const
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    return stream_;
  }

 private:
  z_stream stream_{};
};

void check_block_header(std::span<const std::byte> deflated, std::uint64_t bit, DeflateFindings& findings) {
  BitReader bits(deflated, bit);
  if (bits.take(1) == 1) findings.last_block_bit = bit;
  if (bits.take(2) == 2 && !dynamic_codes_are_portable(bits)) findings.portable_codes = false;
}

}  // namespace

DeflateFindings inspect_deflate(std::span<const std::byte> deflated, std::span<const std::byte> expected) {
  thread_local Inflater inflater;
  thread_local std::vector<std::byte> decoded;
  if (decoded.size() < expected.size() + 1) decoded.resize(expected.size() + 1);  // one more: to see a longer output
  z_stream& stream = inflater.begin(deflated, std::span(decoded).first(expected.size() + 1));
  DeflateFindings findings;
  check_block_header(deflated, 0, findings);
  for (;;) {
    const int result = inflate(&stream, Z_BLOCK);
    if (result != Z_OK && result != Z_STREAM_END) return findings;
    const std::uint64_t bit = std::uint64_t{stream.total_in} * 8 - static_cast<unsigned>(stream.data_type & 7);
    const bool at_block_end = (stream.data_type & 128) != 0;
    const bool in_last_block = (stream.data_type & 64) != 0;
    if (result == Z_STREAM_END || (at_block_end && in_last_block)) {
      findings.end_bit = bit;
      break;
    }
    if (at_block_end) check_block_header(deflated, bit, findings);
    else if (stream.avail_out == 0 || stream.avail_in == 0) return findings;  // longer, or not whole
  }
  const std::size_t produced = expected.size() + 1 - stream.avail_out;
  findings.decodes = produced == expected.size() && (findings.end_bit + 7) / 8 == deflated.size() &&
                     (produced == 0 || std::memcmp(decoded.data(), expected.data(), produced) == 0);
  return findings;
}

void open_for_joining(std::vector<std::byte>& deflated, const DeflateFindings& findings) {
  deflated[findings.last_block_bit / 8] &= ~(std::byte{1} << (findings.last_block_bit % 8));
  deflated.resize((findings.end_bit + 3 + 7) / 8);  // three zero bits: not final, stored; then up to the byte's end
  for (const unsigned byte : {0x00U, 0x00U, 0xFFU, 0xFFU}) deflated.push_back(static_cast<std::byte>(byte));
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
