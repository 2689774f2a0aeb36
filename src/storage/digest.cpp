#include "storage/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/freer.hpp"

namespace zipmodule::storage {
namespace {

constexpr std::size_t k_read_bytes = std::size_t{256} << 10U;  // stays in the cache for both digests

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void update(std::string_view data) { require(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1); }
  std::string bytes() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), out.data(), &size) == 1);
    return {out.begin(), out.begin() + size};
  }

 private:
  static void require(bool done) {
    if (!done) throw Error(ErrorKind::internal, "libcrypto has no such digest");
  }
  std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> context_;
};

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string sha256(std::string_view text) {
  Digest digest(EVP_sha256());
  digest.update(text);
  return digest.bytes();
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), out.data(), &size) == nullptr) {
    throw Error(ErrorKind::internal, "libcrypto has no HMAC");
  }
  return {out.begin(), out.begin() + size};
}

BodyDigest digest_of(const HttpBody& body, const std::string& name) {
  Digest sha(EVP_sha256());
  Digest md5(EVP_md5());
  if (body.fd < 0) {
    sha.update(body.text);
    md5.update(body.text);
  }
  std::vector<char> buffer(body.fd < 0 ? 0 : k_read_bytes);
  for (std::uint64_t at = 0; body.fd >= 0 && at < body.size_bytes;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), body.size_bytes - at));
    const auto part = std::span(buffer).first(size);
    const ssize_t got = pread_full(body.fd, std::as_writable_bytes(part), body.offset + at);
    if (got < 0)
      throw Error(ErrorKind::io, fmt::format("{}: the local file can't be read: {}", name, errno_text(errno)));
    if (got != static_cast<ssize_t>(size)) {
      throw Error(ErrorKind::corrupt, fmt::format("{}: the archive is shorter than it was", name));
    }
    sha.update({part.data(), size});
    md5.update({part.data(), size});
    at += size;
  }
  const std::string md5_bytes = md5.bytes();
  return {hex(sha.bytes()), hex(md5_bytes), base64(md5_bytes)};
}

}  // namespace zipmodule::storage
