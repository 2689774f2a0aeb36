// Where an SFTP host is, and how to log in there.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace zipmodule::storage {

struct SftpOptions {
  std::string what = "source";  // or "target": what messages are about
  bool writes() const { return what == "target"; }

  std::string host;
  unsigned port = 22;
  std::string user;
  std::filesystem::path
      key;  // the private key; empty: the agent's keys ($SSH_AUTH_SOCK), then ~/.ssh/id_ed25519, id_ecdsa
  std::vector<std::filesystem::path> known_hosts;  // empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
  unsigned sessions = 8;                           // connections at once, at most
  std::chrono::milliseconds timeout{30'000};       // the longest that the host may stay silent while it is asked
};

}  // namespace zipmodule::storage
