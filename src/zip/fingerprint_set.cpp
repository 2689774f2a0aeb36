#include "zip/fingerprint_set.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace zipmodule::zip {
namespace {

__extension__ using Wide = unsigned __int128;

// Both halves of a product: every bit of it depends on bits of both factors.
std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

// Little-endian, so that the fingerprint is the same on every host.
std::uint64_t load(const char* from, std::size_t bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from, bytes);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

// Odd numbers without pattern: fractions of the square roots of 2, 3, 5 and 7.
constexpr std::uint64_t k_1 = 0x6A09E667F3BCC909;
constexpr std::uint64_t k_2 = 0xBB67AE8584CAA73B;
constexpr std::uint64_t k_3 = 0x3C6EF372FE94F82B;
constexpr std::uint64_t k_4 = 0xA54FF53A5F1D36F1;

}  // namespace

Fingerprint fingerprint_of(std::string_view text) noexcept {
  std::uint64_t high = k_1 ^ text.size();
  std::uint64_t low = k_2;
  while (!text.empty()) {
    const std::size_t n = std::min(text.size(), sizeof(std::uint64_t));
    const std::uint64_t word = load(text.data(), n);
    high = folded_product(high ^ word, k_3) + word;
    low = std::rotl(low ^ word, 29) * k_4 + high;
    text.remove_prefix(n);
  }
  return {folded_product(high ^ k_4, low | 1U) + low, folded_product(low ^ k_3, k_1) ^ high};
}

// Where the text is, or the free slot where it belongs.
std::size_t FingerprintSet::place(const std::vector<Slot>& slots, const Fingerprint& text) noexcept {
  auto at = static_cast<std::size_t>((static_cast<Wide>(text.low) * slots.size()) >> 64U);
  for (;;) {
    const Slot& slot = slots[at];
    if ((slot.high & k_used) == 0 || (slot.low == text.low && (slot.high & k_bits) == (text.high & k_bits))) return at;
    if (++at == slots.size()) at = 0;
  }
}

void FingerprintSet::grow(Shard& shard) {
  std::vector<Slot> larger(shard.slots.size() + shard.slots.size() / 4 + 8);
  for (const Slot& slot : shard.slots) {
    if ((slot.high & k_used) != 0) larger[place(larger, {slot.high, slot.low})] = slot;
  }
  shard.slots = std::move(larger);
}

bool FingerprintSet::insert(const Fingerprint& text, bool mark) {
  Shard& shard = shards_[shard_of(text)];
  // Four fifths full: a text that is not there is then found missing after a dozen slots, which lie in a row.
  if (shard.used * 5 >= shard.slots.size() * 4) grow(shard);
  Slot& slot = shard.slots[place(shard.slots, text)];
  if ((slot.high & k_used) != 0) return false;
  slot = {(text.high & k_bits) | k_used | (mark ? k_mark : 0), text.low};
  ++shard.used;
  return true;
}

bool FingerprintSet::mark(const Fingerprint& text) noexcept {
  Shard& shard = shards_[shard_of(text)];
  Slot& slot = shard.slots[place(shard.slots, text)];
  const bool was_marked = (slot.high & k_mark) != 0;
  slot.high |= k_mark;
  return !was_marked;
}

FingerprintSet::Found FingerprintSet::find(const Fingerprint& text) const noexcept {
  const Shard& shard = shards_[shard_of(text)];
  if (shard.slots.empty()) return Found::no;
  const Slot& slot = shard.slots[place(shard.slots, text)];
  if ((slot.high & k_used) == 0) return Found::no;
  return (slot.high & k_mark) != 0 ? Found::marked : Found::unmarked;
}

}  // namespace zipmodule::zip
