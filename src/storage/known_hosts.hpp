// Whether a host's key is the one that was written down for it. Private to src/storage.
#pragma once

#include <libssh2.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/freer.hpp"

namespace zipmodule::storage {

// The lines of OpenSSH's known_hosts files: plain and hashed names, '[host]:port', '@revoked'. Patterns ('*', '?', '!') and
// '@cert-authority' are not understood: a host that only they cover is not known. For one thread; `session` must outlive it.
class KnownHosts {
 public:
  // Files that don't exist are no error; throws Error{config} for one that can't be read.
  KnownHosts(LIBSSH2_SESSION* session, const std::vector<std::filesystem::path>& files);

  // The key algorithms to ask the host for, most wanted first, in the form of LIBSSH2_METHOD_HOSTKEY: those that are
  // written down for it, or all that we trust where none is. 'ssh-rsa' and 'ssh-dss' are never among them. Empty: the host is
  // known by keys of other kinds only.
  std::string algorithms(const std::string& host, unsigned port) const;

  enum class Verdict { match, mismatch, unknown, revoked };
  // `key`: the public key blob; `type`: LIBSSH2_HOSTKEY_TYPE_*.
  Verdict judge(const std::string& host, unsigned port, std::span<const std::byte> key, int type) const;

 private:
  void read(const std::filesystem::path& file);
  int check(const std::string& host, unsigned port, const char* key, std::size_t size, int type) const;

  std::unique_ptr<LIBSSH2_KNOWNHOSTS, Freer<libssh2_knownhost_free>> hosts_;
  std::vector<std::string> revoked_;  // keys, base64
};

}  // namespace zipmodule::storage
