// Who the host is, and who we are to it.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string_view>
#include <utility>

#include "storage/known_hosts.hpp"
#include "storage/sftp_session.hpp"

namespace zipmodule::storage {
namespace {

// Signs with SHA-1 only before libssh2 1.11 (RFC 8332).
constexpr bool k_rsa_is_sha1 = LIBSSH2_VERSION_NUM < 0x010b00;
constexpr std::string_view k_rsa_hint =
    "this system's libssh2 would sign with SHA-1 ('ssh-rsa'), which is broken and which current servers refuse; make "
    "an ed25519 key: ssh-keygen -t ed25519";

bool is_rsa(std::span<const unsigned char> blob) {
  constexpr std::string_view k_name("\0\0\0\7ssh-rsa", 11);
  return std::string_view(reinterpret_cast<const char*>(blob.data()), blob.size()).starts_with(k_name);
}

// OpenSSH's format has the public key's name inside, PEM's in its first line.
bool is_rsa_file(const std::filesystem::path& key) {
  std::ifstream file(key);
  std::string body;
  for (std::string line; std::getline(file, line);) {
    if (line.find("BEGIN RSA PRIVATE KEY") != std::string::npos) return true;
    if (!line.starts_with('-')) body += line;
  }
  body.resize(body.size() / 4 * 4);
  std::string decoded(body.size() / 4 * 3 + 1, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()), reinterpret_cast<const unsigned char*>(body.data()),
                  static_cast<int>(body.size()));
  return decoded.find("ssh-rsa") != std::string::npos;
}

std::filesystem::path home() {
  const char* folder = std::getenv("HOME");
  return folder != nullptr ? folder : "/";
}

// Whether an agent answers at all: libssh2 asks it without a deadline. What it is asked for is the list of its keys
// (SSH_AGENTC_REQUEST_IDENTITIES, draft-miller-ssh-agent).
bool agent_answers(const char* path) {
  constexpr std::array<unsigned char, 5> k_request{0, 0, 0, 1, 11};
  constexpr int k_patience_ms = 2'000;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view name(path);
  if (name.size() >= sizeof address.sun_path) return false;
  name.copy(address.sun_path, name.size());
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  if (::send(socket.get(), k_request.data(), k_request.size(), MSG_NOSIGNAL) != ssize_t{k_request.size()}) return false;
  pollfd poll_for{socket.get(), POLLIN, 0};
  char first = 0;
  return ::poll(&poll_for, 1, k_patience_ms) > 0 && ::recv(socket.get(), &first, 1, MSG_DONTWAIT) == 1;
}

}  // namespace

void SftpSession::require_known_host() {
  auto files = options_.known_hosts;
  if (files.empty()) files = {home() / ".ssh/known_hosts", "/etc/ssh/ssh_known_hosts"};
  const KnownHosts known(session_.get(), files);
  const std::string algorithms = known.algorithms(options_.host, options_.port);
  const std::string scan = fmt::format(
      "compare it with the host's own (ssh-keygen -lf there), then add it: ssh-keyscan -t "
      "ed25519{} {} >> {}",
      options_.port == 22 ? "" : fmt::format(" -p {}", options_.port), options_.host, files.front().string());
  if (algorithms.empty()) {
    throw Error(
        ErrorKind::source_refused,
        fmt::format("{}: only an RSA key is known of this host, and this system's libssh2 could check that with "
                    "SHA-1 signatures ('ssh-rsa') alone",
                    where()),
        scan);
  }
  if (libssh2_session_method_pref(session_.get(), LIBSSH2_METHOD_HOSTKEY, algorithms.c_str()) != 0) {
    fail("choose the kinds of host keys");
  }
  if (call([&] { return libssh2_session_handshake(session_.get(), socket_.get()); }) != 0) {
    if (libssh2_session_last_errno(session_.get()) == LIBSSH2_ERROR_KEX_FAILURE) {
      broken_ = true;
      throw Error(ErrorKind::source_refused,
                  fmt::format("{}: no common algorithm; we ask for a host key of {}", where(), algorithms),
                  "SHA-1 ('ssh-rsa') and DSA are left out on purpose: give the host an ed25519 key");
    }
    fail("SSH handshake");
  }
  std::size_t size = 0;
  int type = 0;
  const char* key = libssh2_session_hostkey(session_.get(), &size, &type);
  if (key == nullptr) fail("read the host's key");
  const char* hash = libssh2_hostkey_hash(session_.get(), LIBSSH2_HOSTKEY_HASH_SHA256);
  std::array<unsigned char, 45> fingerprint{};
  if (hash != nullptr) {
    EVP_EncodeBlock(fingerprint.data(), reinterpret_cast<const unsigned char*>(hash), 32);
    fingerprint[43] = '\0';  // OpenSSH leaves the padding out
  }
  const auto refuse = [&](std::string_view what, const std::string& hint) {
    broken_ = true;
    throw Error(ErrorKind::source_refused,
                fmt::format("{}: {}: SHA256:{}", where(), what, reinterpret_cast<const char*>(fingerprint.data())),
                hint);
  };
  switch (known.judge(options_.host, options_.port, std::as_bytes(std::span(key, size)), type)) {
    case KnownHosts::Verdict::match:
      return;
    case KnownHosts::Verdict::mismatch:
      refuse("THE HOST'S KEY HAS CHANGED: someone may be in between",
             "nothing was sent. If the host was set up anew, remove its old line from known_hosts and " + scan);
      return;
    case KnownHosts::Verdict::revoked:
      refuse("the host's key is revoked", "nothing was sent. Its operator must make a new one");
      return;
    case KnownHosts::Verdict::unknown:
      refuse("the host's key is not in known_hosts", scan);
  }
}

void SftpSession::log_in() {
  if (options_.key.empty()) {
    if (log_in_by_agent()) return;
    for (const char* file : {".ssh/id_ed25519", ".ssh/id_ecdsa"}) {
      std::error_code ignored;
      if (std::filesystem::exists(home() / file, ignored) && log_in_by_file(home() / file)) return;
    }
  } else {
    std::error_code ignored;
    if (!std::filesystem::exists(options_.key, ignored)) {
      throw Error(ErrorKind::source_refused, fmt::format("{}: there is no key {}", where(), options_.key.string()),
                  "make it, or name another");
    }
    if (log_in_by_file(options_.key)) return;
  }
  broken_ = true;
  const std::string_view words = last_words();
  std::string hint = fmt::format("add the public key to {}'s authorized_keys there", options_.user);
  if (k_rsa_is_sha1 && !options_.key.empty() && is_rsa_file(options_.key)) hint = k_rsa_hint;
  throw Error(ErrorKind::source_refused,
              fmt::format("{}: login refused with {}{}{}", where(),
                          options_.key.empty() ? "the agent's keys and those of ~/.ssh" : options_.key.string(),
                          words.empty() ? "" : ": ", words),
              hint);
}

bool SftpSession::log_in_by_agent() {
  const char* const socket = std::getenv("SSH_AUTH_SOCK");
  if (socket == nullptr || !agent_answers(socket)) return false;
  const std::unique_ptr<LIBSSH2_AGENT, Freer<libssh2_agent_free>> agent(libssh2_agent_init(session_.get()));
  if (!agent || libssh2_agent_connect(agent.get()) != 0) return false;
  if (libssh2_agent_list_identities(agent.get()) != 0) return false;
  libssh2_agent_publickey* identity = nullptr;
  while (libssh2_agent_get_identity(agent.get(), &identity, identity) == 0) {
    if (k_rsa_is_sha1 && is_rsa({identity->blob, identity->blob_len})) continue;
    if (call([&] { return libssh2_agent_userauth(agent.get(), options_.user.c_str(), identity); }) == 0) return true;
  }
  return false;
}

bool SftpSession::log_in_by_file(const std::filesystem::path& key) {
  if (k_rsa_is_sha1 && is_rsa_file(key)) return false;
  const int rc = call([&] {
    return libssh2_userauth_publickey_fromfile_ex(
        session_.get(), options_.user.c_str(), static_cast<unsigned>(options_.user.size()), nullptr, key.c_str(), "");
  });
  if (rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV || rc == LIBSSH2_ERROR_SOCKET_SEND) {
    fail("log in");
  }
  return rc == 0;
}

}  // namespace zipmodule::storage
