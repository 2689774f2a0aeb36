#include "storage/known_hosts.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/error.hpp"

namespace zipmodule::storage {
namespace {

struct Algorithm {
  int key_bit;    // LIBSSH2_KNOWNHOST_KEY_*
  int host_type;  // LIBSSH2_HOSTKEY_TYPE_*
  const char* names;
  bool trusted;
};

// In the order of our preference. RSA keys may only sign with SHA-2 (RFC 8332), which libssh2 knows from 1.11 on; it ignores
// names that it does not know.
constexpr std::array<Algorithm, 6> k_algorithms{{
    {LIBSSH2_KNOWNHOST_KEY_ED25519, LIBSSH2_HOSTKEY_TYPE_ED25519, "ssh-ed25519", true},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_256, LIBSSH2_HOSTKEY_TYPE_ECDSA_256, "ecdsa-sha2-nistp256", true},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_384, LIBSSH2_HOSTKEY_TYPE_ECDSA_384, "ecdsa-sha2-nistp384", true},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_521, LIBSSH2_HOSTKEY_TYPE_ECDSA_521, "ecdsa-sha2-nistp521", true},
    {LIBSSH2_KNOWNHOST_KEY_SSHRSA, LIBSSH2_HOSTKEY_TYPE_RSA, "rsa-sha2-512,rsa-sha2-256",
     LIBSSH2_VERSION_NUM >= 0x010b00},
    {LIBSSH2_KNOWNHOST_KEY_SSHDSS, LIBSSH2_HOSTKEY_TYPE_DSS, "ssh-dss", false},
}};

int key_bit(int type) {
  const auto found =
      std::find_if(k_algorithms.begin(), k_algorithms.end(), [&](const Algorithm& a) { return a.host_type == type; });
  return found == k_algorithms.end() ? LIBSSH2_KNOWNHOST_KEY_UNKNOWN : found->key_bit;
}

std::string base64(std::span<const std::byte> data) {
  std::string text((data.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(data.data()), static_cast<int>(data.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace

KnownHosts::KnownHosts(LIBSSH2_SESSION* session, const std::vector<std::filesystem::path>& files)
    : hosts_(libssh2_knownhost_init(session)) {
  if (!hosts_) throw std::bad_alloc();
  for (const auto& file : files) read(file);
}

// Line by line: libssh2_knownhost_readfile ends at the first line that it does not understand.
void KnownHosts::read(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return;
  errno = 0;
  std::ifstream lines(file);
  if (!lines) throw Error(ErrorKind::config, fmt::format("open {}: {}", file.string(), errno_text(errno)));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('@')) {
      libssh2_knownhost_readline(hosts_.get(), line.data(), line.size(), LIBSSH2_KNOWNHOST_FILE_OPENSSH);
      continue;
    }
    std::istringstream words(line);
    std::string marker, names, type, key;
    words >> marker >> names >> type >> key;
    if (marker == "@revoked") revoked_.push_back(key);
  }
  if (lines.bad()) throw Error(ErrorKind::config, fmt::format("read {}: {}", file.string(), errno_text(errno)));
}

// As OpenSSH, and other than libssh2_knownhost_checkp: a port of its own has names of its own.
int KnownHosts::check(const std::string& host, unsigned port, const char* key, std::size_t size, int type) const {
  const std::string name = port == 22 ? host : fmt::format("[{}]:{}", host, port);
  return libssh2_knownhost_check(hosts_.get(), name.c_str(), key, size,
                                 LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | type, nullptr);
}

std::string KnownHosts::algorithms(const std::string& host, unsigned port) const {
  std::string known;
  std::string all;
  bool any = false;
  for (const Algorithm& algorithm : k_algorithms) {
    // A key that no host has: 'mismatch' tells that there is one of this kind.
    const bool here = check(host, port, "?", 1, algorithm.key_bit) == LIBSSH2_KNOWNHOST_CHECK_MISMATCH;
    any = any || here;
    if (!algorithm.trusted) continue;
    all += fmt::format("{}{}", all.empty() ? "" : ",", algorithm.names);
    if (here) known += fmt::format("{}{}", known.empty() ? "" : ",", algorithm.names);
  }
  return any ? known : all;
}

KnownHosts::Verdict KnownHosts::judge(const std::string& host, unsigned port, std::span<const std::byte> key,
                                      int type) const {
  const std::string text = base64(key);
  if (std::find(revoked_.begin(), revoked_.end(), text) != revoked_.end()) return Verdict::revoked;
  switch (check(host, port, reinterpret_cast<const char*>(key.data()), key.size(), key_bit(type))) {
    case LIBSSH2_KNOWNHOST_CHECK_MATCH:
      return Verdict::match;
    case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
      return Verdict::mismatch;
    default:
      return Verdict::unknown;
  }
}

}  // namespace zipmodule::storage
