// OpenSSH's sshd on a loopback port, with keys made for one test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace zipmodule::test {

// Its destructor ends the server and all of its sessions. Throws with a hint where there is no sshd.
class SshServer {
 public:
  struct Options {
    std::string host_key = "ed25519";  // ssh-keygen's type
    std::string more;                  // lines for sshd_config
  };
  SshServer() : SshServer(Options{}) {}
  explicit SshServer(const Options& options);
  ~SshServer();
  SshServer(const SshServer&) = delete;
  SshServer& operator=(const SshServer&) = delete;

  static std::string host() { return "127.0.0.1"; }
  unsigned port() const noexcept { return port_; }
  std::string user() const;
  std::filesystem::path key() const { return dir_ / "user_ed25519"; }         // lets log in
  std::filesystem::path known_hosts() const { return dir_ / "known_hosts"; }  // has this server's key
  std::string host_key_line() const { return host_key_line(port_); }          // the line of known_hosts
  std::string host_key_line(unsigned port) const;                             // as it is seen at another port

  // A key pair in the server's folder; its public key lets log in where `allowed`.
  std::filesystem::path make_key(const std::string& type, bool allowed);

  // The server comes back with another key, on the same port.
  void change_host_key();
  // Ends server and sessions; nobody listens at the port then. And begins again.
  void stop();
  void start();

  // The processes of the sessions there are, one or two each.
  std::vector<pid_t> sessions() const;
  void signal_sessions(int signal) const;
  // And the server itself, too: with SIGSTOP, new connections get no answer either.
  void signal_all(int signal) const;
  // Stops the sessions, and comes back when none of them runs any more. SIGCONT or SIGKILL ends it.
  void freeze_sessions() const;
  // How many logins there have been.
  std::size_t logins() const;

 private:
  void make_host_key();
  std::string log() const;

  const Options options_;
  TempDir dir_{"sshd"};
  unsigned port_ = 0;
  std::unique_ptr<Process> process_;
  std::string earlier_log_;
};

// An SFTP server of another kind, with keys made for one test (loose_sftp.py): it does not resolve symlinks in what it calls a
// file's canonical path. Throws with a hint where there is no paramiko.
class LooseSftp {
 public:
  explicit LooseSftp(const std::string& how = "");  // as in loose_sftp.py

  static std::string host() { return SshServer::host(); }
  unsigned port() const noexcept { return port_; }
  std::filesystem::path key() const { return dir_ / "user"; }
  std::filesystem::path known_hosts() const { return dir_ / "known_hosts"; }

 private:
  TempDir dir_{"loose"};
  std::unique_ptr<Process> process_;
  unsigned port_ = 0;
};

// What stands between client and server, and counts (relay.py).
class Relay {
 public:
  explicit Relay(unsigned target_port);
  unsigned port() const noexcept { return port_; }
  // What went to the clients so far.
  std::uint64_t sent_bytes();
  // What came from them so far.
  std::uint64_t received_bytes();

 private:
  std::uint64_t count(int signal);

  Process process_;
  unsigned port_;
  std::size_t lines_ = 1;  // of its output
};

}  // namespace zipmodule::test
