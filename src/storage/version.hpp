// Which state of which file.
#pragma once

#include <cstdint>

namespace zipmodule::storage {

// Made by a root from what it knows of a file. Two equal versions are the same file with the same content, if the first
// was settled (root.hpp) when it was made. Nothing else can be read out of one; it means nothing to another host.
struct Version {
  std::uint64_t file = 0;   // which file
  std::uint64_t state = 0;  // of its content

  bool operator==(const Version&) const = default;
};

// Adds a value to a hash of 64 bits. For one value, different hashes stay different, and for one hash, different values
// do: of two lists that differ in a single value the results always differ.
constexpr std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) noexcept {
  hash ^= value;  // and murmur3's finaliser, whose steps can all be undone
  hash ^= hash >> 33U;
  hash *= 0xFF51AFD7ED558CCDU;
  hash ^= hash >> 33U;
  hash *= 0xC4CEB9FE1A85EC53U;
  return hash ^ hash >> 33U;
}

}  // namespace zipmodule::storage
