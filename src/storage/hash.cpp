#include "storage/hash.hpp"

#include <openssl/sha.h>

#include <array>
#include <cstring>

namespace zipmodule::storage {

std::uint64_t hash_of(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

}  // namespace zipmodule::storage
