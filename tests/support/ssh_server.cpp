#include "support/ssh_server.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "support/loopback.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_sshd = "/usr/sbin/sshd";

void must(std::vector<std::string> argv) {
  const Result result = run(std::move(argv));
  if (result.exit_code != 0) throw std::runtime_error(result.text());
}

// "R", "S", "T", ... and the parent's process id; nothing where it has ended.
struct Stat {
  std::string state;
  pid_t parent = 0;
};
Stat stat_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);
  const auto end = text.rfind(')');  // the command may hold anything
  if (end == std::string::npos) return {};
  std::istringstream rest(text.substr(end + 1));
  Stat stat;
  rest >> stat.state >> stat.parent;
  return stat;
}

// Process ids and their parents'.
std::map<pid_t, pid_t> all_processes() {
  std::map<pid_t, pid_t> parents;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const Stat stat = stat_of(name);
    if (stat.state.empty()) continue;
    parents[static_cast<pid_t>(std::stol(name))] = stat.parent;
  }
  return parents;
}

}  // namespace

SshServer::SshServer(const Options& options) : options_(options), port_(free_port()) {
  if (!fs::exists(k_sshd)) throw std::runtime_error("no sshd; scripts/setup --tests installs it");
  // Where root runs it, sshd wants this folder, which a system's start makes.
  if (::getuid() == 0) fs::create_directories("/run/sshd");
  make_key("ed25519", true);
  make_host_key();
  start();
}

SshServer::~SshServer() { stop(); }

std::string SshServer::user() const { return ::getpwuid(::getuid())->pw_name; }

fs::path SshServer::make_key(const std::string& type, bool allowed) {
  const fs::path key = dir_ / ("user_" + type);
  must({"ssh-keygen", "-q", "-t", type, "-N", "", "-f", key.string()});
  if (allowed) {
    std::ofstream(dir_ / "authorized_keys", std::ios::app) << read_file(key.string() + ".pub");
  }
  return key;
}

void SshServer::make_host_key() {
  fs::remove(dir_ / "host");
  fs::remove(dir_ / "host.pub");
  must({"ssh-keygen", "-q", "-t", options_.host_key, "-N", "", "-f", (dir_ / "host").string()});
}

std::string SshServer::host_key_line(unsigned port) const {
  std::istringstream words(read_file(dir_ / "host.pub"));
  std::string type, key;
  words >> type >> key;
  return "[" + host() + "]:" + std::to_string(port) + " " + type + " " + key + "\n";
}

void SshServer::change_host_key() {
  const std::string known = read_file(known_hosts());
  stop();
  make_host_key();
  start();
  write_file(known_hosts(), known);
}

void SshServer::start() {
  if (!fs::exists(known_hosts())) write_file(known_hosts(), host_key_line());
  std::ostringstream config;
  config << "Port " << port_ << "\nListenAddress " << host() << "\nHostKey " << (dir_ / "host").string()
         << "\nAuthorizedKeysFile " << (dir_ / "authorized_keys").string()
         << "\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
         << options_.more << "\nMaxStartups 100\nLogLevel INFO\n";  // of each, the first counts
  if (options_.more.find("Subsystem") == std::string::npos) config << "\nSubsystem sftp internal-sftp\n";
  write_file(dir_ / "sshd_config", config.str());
  process_ =
      std::make_unique<Process>(Command{{k_sshd, "-D", "-e", "-f", (dir_ / "sshd_config").string()}, {}, {}, {}});
  if (!wait_until([&] { return answers(port_) || !process_->running(); }) || !process_->running()) {
    throw std::runtime_error("sshd does not start: " + process_->err());
  }
}

void SshServer::stop() {
  if (!process_) return;
  const auto pids = sessions();
  earlier_log_ += process_->err();
  process_.reset();
  for (const pid_t pid : pids) ::kill(pid, SIGKILL);
}

std::vector<pid_t> SshServer::sessions() const {
  const auto parents = all_processes();
  std::vector<pid_t> pids;
  for (const auto& [pid, parent] : parents) {
    for (auto at = parents.find(pid); at != parents.end(); at = parents.find(at->second)) {
      if (at->second != process_->pid()) continue;
      pids.push_back(pid);
      break;
    }
  }
  return pids;
}

void SshServer::signal_sessions(int signal) const {
  for (const pid_t pid : sessions()) ::kill(pid, signal);
}

void SshServer::signal_all(int signal) const {
  process_->send(signal);
  signal_sessions(signal);
}

void SshServer::freeze_sessions() const {
  signal_sessions(SIGSTOP);
  const bool frozen = wait_until([&] {
    const auto pids = sessions();
    return std::all_of(pids.begin(), pids.end(), [](pid_t pid) { return stat_of(std::to_string(pid)).state == "T"; });
  });
  if (!frozen) throw std::runtime_error("sshd's sessions do not stop");
}

std::string SshServer::log() const { return earlier_log_ + (process_ ? process_->err() : ""); }

std::size_t SshServer::logins() const {
  const std::string text = log();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find("Accepted publickey", at)) != std::string::npos; ++at) ++count;
  return count;
}

namespace {

// The line of that number, when it is there; from 0 on.
std::string line_of(const Process& process, std::size_t number) {
  std::string found;
  const bool there = wait_until([&] {
    std::istringstream lines(process.out());
    std::string line;
    for (std::size_t i = 0; i <= number; ++i) {
      if (!std::getline(lines, line) || lines.eof()) return !process.running();
    }
    found = line;
    return true;
  });
  if (!there || found.empty()) throw std::runtime_error("a server of the tests does not answer: " + process.err());
  return found;
}

}  // namespace

LooseSftp::LooseSftp(const std::string& how) {
  for (const char* name : {"host", "user"}) {
    must({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (dir_ / name).string()});
  }
  process_ = std::make_unique<Process>(Command{{"/usr/bin/python3", source_path("tests/support/loose_sftp.py"),
                                                (dir_ / "host").string(), (dir_ / "user.pub").string(), how},
                                               {},
                                               {},
                                               {}});
  if (!wait_until([&] { return !process_->out().empty() || !process_->running(); }) || !process_->running()) {
    throw std::runtime_error("no paramiko; scripts/setup --tests installs it: " + process_->err());
  }
  port_ = static_cast<unsigned>(std::stoul(line_of(*process_, 0)));
  std::istringstream words(read_file(dir_ / "host.pub"));
  std::string type, key;
  words >> type >> key;
  write_file(known_hosts(), "[" + host() + "]:" + std::to_string(port_) + " " + type + " " + key + "\n");
}

Relay::Relay(unsigned target_port)
    : process_(Command{{"python3", source_path("tests/support/relay.py"), std::to_string(target_port)}, {}, {}, {}}),
      port_(static_cast<unsigned>(std::stoul(line_of(process_, 0)))) {}

std::uint64_t Relay::sent_bytes() { return count(SIGUSR1); }
std::uint64_t Relay::received_bytes() { return count(SIGUSR2); }

std::uint64_t Relay::count(int signal) {
  process_.send(signal);
  return std::stoull(line_of(process_, lines_++));
}

}  // namespace zipmodule::test
