// Numbers in the place of an inode, for files of other hosts. Private to src/storage.
#pragma once

#include <cstdint>
#include <string>

namespace zipmodule::storage {

// The first 64 bits of SHA-256: nobody happens upon two texts with the same.
std::uint64_t hash_of(const std::string& text);

}  // namespace zipmodule::storage
