// Digests of what is sent. Private to src/storage.
#pragma once

#include <string>
#include <string_view>

#include "storage/http_transport.hpp"

namespace zipmodule::storage {

std::string hex(std::string_view bytes);                               // in lower case
std::string sha256(std::string_view text);                             // 32 bytes
std::string hmac_sha256(std::string_view key, std::string_view text);  // 32 bytes
inline std::string sha256_hex(std::string_view text) { return hex(sha256(text)); }

struct BodyDigest {
  std::string sha256_hex;
  std::string md5_hex;
  std::string md5_base64;  // as in Content-MD5, RFC 1864
};

// Reads it once. Throws, beginning with `name`, Error{io} where the file can't be read, Error{corrupt} where it is shorter.
BodyDigest digest_of(const HttpBody& body, const std::string& name);

}  // namespace zipmodule::storage
