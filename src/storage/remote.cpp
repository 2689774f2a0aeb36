#include "storage/remote.hpp"

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

std::string join(const std::string& parent, const std::string& child) {
  if (parent.empty() || child.empty()) return parent + child;
  return parent.back() == '/' ? parent + child : parent + '/' + child;
}

Error stopped_waiting() { return {ErrorKind::stopped, "waiting for a host was stopped"}; }

}  // namespace zipmodule::storage
