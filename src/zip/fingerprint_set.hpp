// A set of texts that keeps 128-bit fingerprints instead of them: 20 to 25 bytes a text, however long it is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace zipmodule::zip {

// The same for the same text in every process and on every host. Two of a million texts have the same one with a chance
// of 1 in 10^26. No cryptographic hash: whoever wants two that are equal can make them.
struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};
Fingerprint fingerprint_of(std::string_view text) noexcept;

// Each text has a mark of one bit, free for its user. Not thread-safe.
class FingerprintSet {
 public:
  // Notes the text, with `mark`, if it is not there. True if it was not.
  bool insert(const Fingerprint& text, bool mark);
  // Marks a text that is there. False if it was marked already.
  bool mark(const Fingerprint& text) noexcept;

  enum class Found { no, unmarked, marked };
  Found find(const Fingerprint& text) const noexcept;
  bool contains(const Fingerprint& text) const noexcept { return find(text) != Found::no; }

 private:
  struct Slot {
    std::uint64_t high = 0;  // its two lowest bits are k_used and k_mark instead
    std::uint64_t low = 0;
  };
  // One table of all texts would be there twice while it grows; of these only one at a time is.
  struct Shard {
    std::vector<Slot> slots;
    std::size_t used = 0;
  };
  static constexpr std::uint64_t k_used = 1;
  static constexpr std::uint64_t k_mark = 2;
  static constexpr std::uint64_t k_bits = ~(k_used | k_mark);
  static constexpr unsigned k_shard_bits = 6;

  static std::size_t place(const std::vector<Slot>& slots, const Fingerprint& text) noexcept;
  static void grow(Shard& shard);
  static std::size_t shard_of(const Fingerprint& text) noexcept {
    return static_cast<std::size_t>(text.high >> (64U - k_shard_bits));
  }

  std::array<Shard, std::size_t{1} << k_shard_bits> shards_;
};

}  // namespace zipmodule::zip
