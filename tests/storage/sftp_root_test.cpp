// Logins, host keys and hosts in trouble; what every root promises is in root_test.cpp.
#include "storage/sftp_root.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/paths.hpp"
#include "support/process.hpp"
#include "support/ssh_server.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::SshServer;
using test::write_file;

constexpr std::uint64_t k_window = std::uint64_t{16} << 20U;

struct Host {
  explicit Host(const SshServer::Options& server_options = {}) : server(server_options) {
    write_file(dir / "content/file", "content", 1'600'000'001);
    options.host = SshServer::host();
    options.port = server.port();
    options.user = server.user();
    options.key = server.key();
    options.known_hosts = {server.known_hosts()};
    options.sessions = 3;
    options.timeout = std::chrono::seconds(20);
  }
  std::unique_ptr<SftpRoot> root() const {
    return std::make_unique<SftpRoot>("cms", options, (dir / "content").string(), k_window);
  }

  test::TempDir dir{"sftp"};
  SshServer server;
  SftpOptions options;
};

// Asking for the file ends so.
void refused(const Host& host, ErrorKind kind, const std::string& text) {
  const auto error = error_of([&] { host.root()->status("file", {}); });
  REQUIRE(error);
  CHECK(error->kind() == kind);
  CHECK_THAT(error->full_text(), Contains(text));
}

bool works(const Host& host) { return host.root()->status("file", {}).size_bytes == 7; }

// --- host keys -----------------------------------------------------------------------------------------------------

TEST_CASE("a host that is not known is refused, and its key's fingerprint told") {
  const Host host;
  write_file(host.server.known_hosts(), "");
  const auto listed = test::run({"ssh-keygen", "-lf", (host.server.known_hosts().parent_path() / "host.pub").string()});
  const auto begin = listed.out.find("SHA256:");
  REQUIRE(begin != std::string::npos);
  refused(host, ErrorKind::source_refused, listed.out.substr(begin, listed.out.find(' ', begin) - begin));
  refused(host, ErrorKind::source_refused, "ssh-keyscan");
  CHECK(host.server.logins() == 0);
}

TEST_CASE("a host without any known_hosts file is refused") {
  Host host;
  host.options.known_hosts = {host.dir / "nothing"};
  refused(host, ErrorKind::source_refused, "is not in known_hosts");
}

TEST_CASE("a host whose key has changed is refused loudly, before anything was sent") {
  Host host;
  host.server.change_host_key();
  refused(host, ErrorKind::source_refused, "THE HOST'S KEY HAS CHANGED");
  CHECK(host.server.logins() == 0);
}

TEST_CASE("a key of the same host on another port does not count") {
  const Host host;
  std::string line = host.server.host_key_line();
  write_file(host.server.known_hosts(), host.server.host() + line.substr(line.find(' ')));
  refused(host, ErrorKind::source_refused, "is not in known_hosts");
}

TEST_CASE("hashed names are known, with their port") {
  const Host host;
  REQUIRE(test::run({"ssh-keygen", "-q", "-H", "-f", host.server.known_hosts().string()}).exit_code == 0);
  CHECK_THAT(test::read_file(host.server.known_hosts()), Contains("|1|"));
  CHECK(works(host));
}

TEST_CASE("a revoked key is refused, though another line has it") {
  const Host host;
  std::ofstream(host.server.known_hosts(), std::ios::app) << "@revoked " << host.server.host_key_line();
  refused(host, ErrorKind::source_refused, "is revoked");
}

TEST_CASE("lines that are not understood don't hide the others") {
  const Host host;
  write_file(host.server.known_hosts(),
             "# a comment\n\nnonsense\n@cert-authority * ssh-ed25519 AAAA\nhost ssh-unheard-of AAAA\n" +
                 host.server.host_key_line());
  CHECK(works(host));
}

TEST_CASE("a host with several keys is asked for the one that is known") {
  const Host host({"ecdsa", "HostKey " + test::build_path("test_host_ed25519\n")});
  // The server has an ecdsa key, and where the file exists, one that we'd rather have.
  CHECK(works(host));
}

TEST_CASE("a host with an RSA key only is refused, and told why") {
  const Host host({"rsa", ""});
  refused(host, ErrorKind::source_refused, "only an RSA key is known of this host");
  write_file(host.server.known_hosts(), "");
  refused(host, ErrorKind::source_refused, "SHA-1 ('ssh-rsa') and DSA are left out");
}

// --- logins --------------------------------------------------------------------------------------------------------

TEST_CASE("an ecdsa key logs in") {
  Host host;
  host.options.key = host.server.make_key("ecdsa", true);
  CHECK(works(host));
}

TEST_CASE("a key that the host does not know, and one that is not there, are refused") {
  Host host;
  host.options.key = host.server.make_key("ecdsa", false);
  refused(host, ErrorKind::source_refused, "login refused with " + host.options.key.string());
  host.options.key = host.dir / "nothing";
  refused(host, ErrorKind::source_refused, "there is no key " + host.options.key.string());
}

TEST_CASE("an RSA key is refused with the reason") {
  Host host;
  host.options.key = host.server.make_key("rsa", true);
  refused(host, ErrorKind::source_refused, "would sign with SHA-1");
}

TEST_CASE("a user that the host does not have is refused") {
  Host host;
  host.options.user = "nobody-of-this-name";
  refused(host, ErrorKind::source_refused, "login refused");
}

TEST_CASE("the agent's key logs in, behind one that the host does not know") {
  Host host;
  const std::string socket = host.dir / "agent";
  const test::Process agent({{"ssh-agent", "-D", "-a", socket}, {}, {}, {}});
  REQUIRE(test::wait_until([&] { return fs::exists(socket); }));
  for (const auto& key : {host.server.make_key("rsa", true), host.server.make_key("ecdsa", false), host.server.key()}) {
    REQUIRE(test::run({{"ssh-add", "-q", key.string()}, {{"SSH_AUTH_SOCK", socket}}, {}, {}}).exit_code == 0);
  }
  host.options.key.clear();
  ::setenv("SSH_AUTH_SOCK", socket.c_str(), 1);
  CHECK(works(host));
  ::unsetenv("SSH_AUTH_SOCK");
}

// --- versions ------------------------------------------------------------------------------------------------------

std::string text_of(const SftpRoot& root, const std::string& path) {
  const auto status = root.status(path, {});
  std::string text(status.size_bytes, '\0');
  const auto file = root.open(path, status, {});
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  file->require_unchanged();
  return text;
}

TEST_CASE("a session that has an earlier version open does not read that") {
  const Host host;
  const auto root = host.root();
  for (int version = 0; version < 6; ++version) {
    const std::string content = test::random_bytes(5'000'000, 10U + static_cast<unsigned>(version));
    write_file(host.dir / "content/new", content, 1'600'000'100 + version);
    fs::rename(host.dir / "content/new", host.dir / "content/large");
    // Parts, by several sessions at once.
    const auto file = root->open("large", root->status("large", {}), {});
    std::string text(content.size(), '\0');
    {
      std::vector<std::jthread> threads;
      for (std::size_t part = 0; part < 5; ++part) {
        threads.emplace_back([&, part] {
          file->read_at(part * 1'000'000, std::as_writable_bytes(std::span(text)).subspan(part * 1'000'000, 1'000'000));
        });
      }
    }
    file->require_unchanged();
    CHECK(text == content);
  }
}

TEST_CASE("a symlink to a release that is switched is followed at once") {
  const Host host;
  write_file(host.dir / "content/r1/v", "1.4.1", 1'600'000'001);
  write_file(host.dir / "content/r2/v", "1.4.2", 1'600'000'001);
  fs::create_directory_symlink("r1", host.dir / "content/cur");
  const auto root = host.root();
  CHECK(text_of(*root, "cur/v") == "1.4.1");
  const auto before = root->status("cur/v", {});
  fs::remove(host.dir / "content/cur");
  fs::create_directory_symlink("r2", host.dir / "content/cur");
  CHECK(text_of(*root, "cur/v") == "1.4.2");
  // The same name, size and time, and another file.
  CHECK_FALSE(before.version == root->status("cur/v", {}).version);
  const auto error = error_of([&] {
    std::vector<std::byte> buffer(5);
    root->open("cur/v", before, {})->read_at(0, buffer);
  });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_changed);
}

TEST_CASE("a symlink that becomes a file is read as one") {
  const Host host;
  write_file(host.dir / "content/target", "target");
  fs::create_symlink("target", host.dir / "content/link");
  const auto root = host.root();
  CHECK(text_of(*root, "link") == "target");
  fs::remove(host.dir / "content/link");
  fs::remove(host.dir / "content/target");
  write_file(host.dir / "content/link", "itself");
  CHECK(text_of(*root, "link") == "itself");
}

TEST_CASE("a folder in a file's place fails that file and no other") {
  Host host;
  host.options.sessions = 1;
  const auto root = host.root();
  write_file(host.dir / "content/a", "aaa");
  const auto listed = root->status("a", {});
  fs::remove(host.dir / "content/a");
  fs::create_directory(host.dir / "content/a");
  std::vector<std::byte> buffer(3);
  CHECK(error_of([&] { root->open("a", listed, {})->read_at(0, buffer); }));
  CHECK(text_of(*root, "file") == "content");
}

// --- hosts in trouble ----------------------------------------------------------------------------------------------

TEST_CASE("a host where nobody listens is unreachable, and for a while not asked again") {
  Host host;
  host.server.stop();
  const auto root = host.root();
  const auto first = error_of([&] { root->status("file", {}); });
  REQUIRE(first);
  CHECK(first->kind() == ErrorKind::source_unreachable);
  CHECK(first->retryable());
  host.server.start();
  const auto second = error_of([&] { root->status("file", {}); });
  REQUIRE(second);
  CHECK(second->full_text() == first->full_text());
  CHECK(works(host));  // another run does ask
}

TEST_CASE("a host that has no such name is unreachable") {
  Host host;
  host.options.host = "no-such-host.invalid";
  refused(host, ErrorKind::source_unreachable, "no-such-host.invalid");
}

TEST_CASE("a server that is no SSH server is unreachable, within the time-out") {
  Host host;
  host.options.timeout = std::chrono::seconds(1);
  const test::Process silent({{"python3", "-c",
                               "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
                               "print(s.getsockname()[1], flush=True)\ntime.sleep(60)"},
                              {},
                              {},
                              {}});
  REQUIRE(test::wait_until([&] { return !silent.out().empty(); }));
  host.options.port = static_cast<unsigned>(std::stoul(silent.out()));
  const Stopwatch watch;
  refused(host, ErrorKind::source_unreachable, "no answer for");
  CHECK(watch.seconds() < 10);
}

TEST_CASE("a host that logs in but has no SFTP is refused with what to look for") {
  const Host host({"ed25519", "Subsystem other internal-sftp\n"});
  refused(host, ErrorKind::source_refused, "does not start SFTP");
  refused(host, ErrorKind::source_refused, "Subsystem sftp");
}

TEST_CASE("a host whose SFTP says nothing is unreachable, within the time-out") {
  Host host({"ed25519", "Subsystem sftp /bin/false\n"});
  host.options.timeout = std::chrono::seconds(2);
  const Stopwatch watch;
  refused(host, ErrorKind::source_unreachable, "sftp://");
  CHECK(watch.seconds() < 10);
}

TEST_CASE("what a login may not read is unreadable, and not missing") {
  if (::getuid() != 0) {
    WARN("not tested: only root's sshd lets others log in");
    return;
  }
  Host host({"ed25519", "ForceCommand internal-sftp\n"});
  host.options.user = "nobody";
  write_file(host.dir / "content/priv/x", "x");
  for (const fs::path& folder : {host.dir.path(), host.server.known_hosts().parent_path()}) {
    ::chmod(folder.c_str(), 0755);
  }
  CHECK(works(host));
  ::chmod((host.dir / "content/priv").c_str(), 0700);
  const auto root = host.root();
  // sshd's first answer is another one than its second.
  for (int i = 0; i < 3; ++i) {
    for (const char* path : {"priv/x", "priv/nothing"}) {
      const auto error = error_of([&, path] { root->status(path, {}); });
      REQUIRE(error);
      CHECK(error->kind() == ErrorKind::source_unreadable);
    }
    const auto missing = error_of([&] { root->status("nothing/at/all", {}); });
    REQUIRE(missing);
    CHECK(missing->kind() == ErrorKind::source_missing);
  }
}

TEST_CASE("sessions that all died while nobody used them are replaced") {
  Host host;
  host.options.sessions = 6;
  const auto root = host.root();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) threads.emplace_back([&] { root->status("file", {}); });
  }
  host.server.signal_sessions(SIGKILL);
  CHECK(root->status("file", {}).size_bytes == 7);
}

TEST_CASE("a stop that came before breaks no session") {
  Host host;
  const auto root = host.root();
  root->status("file", {});
  std::stop_source stop;
  stop.request_stop();
  const auto error = error_of([&] { root->status("file", stop.get_token()); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  root->status("file", {});
  CHECK(host.server.logins() == 1);
}

TEST_CASE("an agent that does not answer is left out") {
  Host host;
  const std::string socket = host.dir / "agent";
  const test::Process silent({{"python3", "-c",
                               "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n"
                               "s.listen()\nprint('ready', flush=True)\ntime.sleep(60)",
                               socket},
                              {},
                              {},
                              {}});
  REQUIRE(test::wait_until([&] { return !silent.out().empty(); }));
  host.options.key.clear();
  ::setenv("SSH_AUTH_SOCK", socket.c_str(), 1);
  const std::string home = host.dir / "home";
  const char* const before = ::getenv("HOME");
  const std::string home_before = before != nullptr ? before : "/";
  fs::create_directories(home + "/.ssh");
  fs::copy_file(host.server.key(), home + "/.ssh/id_ed25519");
  ::setenv("HOME", home.c_str(), 1);
  const Stopwatch watch;
  CHECK(works(host));
  CHECK(watch.seconds() < 15);
  ::setenv("HOME", home_before.c_str(), 1);
  ::unsetenv("SSH_AUTH_SOCK");
}

TEST_CASE("a host that falls silent in the middle of a file is an error within the time-out") {
  Host host;
  host.options.timeout = std::chrono::seconds(1);
  write_file(host.dir / "content/large", test::random_bytes(8'000'000));
  const auto root = host.root();
  const auto file = root->open("large", root->status("large", {}), {});
  std::vector<std::byte> buffer(1'000'000);
  REQUIRE(file->read_at(0, buffer) == buffer.size());
  host.server.signal_sessions(SIGSTOP);
  // Nor does a new connection get anywhere.
  const Stopwatch watch;
  const auto error = error_of([&] {
    for (int i = 1; i < 8; ++i) file->read_at(static_cast<std::uint64_t>(i) * 1'000'000, buffer);
  });
  host.server.signal_sessions(SIGCONT);
  CHECK(watch.seconds() < 10);
  // Silent was the session; a new one goes on with the file where it was.
  CHECK_FALSE(error);
}

TEST_CASE("a session that is killed in the middle of a file goes on where it was") {
  Host host;
  const std::string content = test::random_bytes(20'000'000);
  write_file(host.dir / "content/large", content, 1'600'000'001);
  const auto root = host.root();
  const auto file = root->open("large", root->status("large", {}), {});
  std::string text(content.size(), '\0');
  const auto all = std::as_writable_bytes(std::span(text));
  constexpr std::size_t k_step = 5'000'000;
  for (std::size_t at = 0; at < text.size(); at += k_step) {
    REQUIRE(file->read_at(at, all.subspan(at, k_step)) == k_step);
    host.server.signal_sessions(SIGKILL);
  }
  file->require_unchanged();
  CHECK(text == content);
  CHECK(host.server.logins() >= 4);
}

TEST_CASE("a file that changed while its session was away is a changed source") {
  Host host;
  write_file(host.dir / "content/large", test::random_bytes(20'000'000), 1'600'000'001);
  const auto root = host.root();
  const auto file = root->open("large", root->status("large", {}), {});
  std::vector<std::byte> buffer(5'000'000);
  file->read_at(0, buffer);
  host.server.signal_sessions(SIGKILL);
  write_file(host.dir / "content/large", test::random_bytes(20'000'000, 2), 1'600'000'002);
  const auto error = error_of([&] { file->read_at(5'000'000, buffer); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_changed);
}

TEST_CASE("a stop ends the waiting for a silent host at once") {
  Host host;
  write_file(host.dir / "content/large", test::random_bytes(8'000'000));
  const auto root = host.root();
  std::stop_source stop;
  const auto file = root->open("large", root->status("large", {}), stop.get_token());
  std::vector<std::byte> buffer(1'000'000);
  REQUIRE(file->read_at(0, buffer) == buffer.size());
  host.server.signal_sessions(SIGSTOP);
  const Stopwatch watch;
  const std::jthread stopper([&] { stop.request_stop(); });
  const auto error = error_of([&] {
    for (int i = 1; i < 8; ++i) file->read_at(static_cast<std::uint64_t>(i) * 1'000'000, buffer);
  });
  host.server.signal_sessions(SIGCONT);
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK(watch.seconds() < 5);
}

TEST_CASE("no more sessions are opened than are allowed, and fewer where the host takes no more") {
  const bool limited = GENERATE(false, true);
  // Beyond two that have not logged in yet, sshd drops every connection.
  Host host({"ed25519", limited ? "MaxStartups 2:100:2\n" : ""});
  for (int i = 0; i < 40; ++i) write_file(host.dir / fmt::format("content/{}", i), test::random_bytes(300'000));
  const auto root = host.root();
  std::atomic<int> next = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        std::vector<std::byte> buffer(300'000);
        for (int one = next++; one < 40; one = next++) {
          const std::string name = std::to_string(one);
          const auto error = error_of([&] { root->open(name, root->status(name, {}), {})->read_at(0, buffer); });
          if (error) ++failed;
        }
      });
    }
  }
  CHECK(failed == 0);
  CHECK(host.server.logins() <= 3);
}

TEST_CASE("sessions are opened late and closed when nobody needs them") {
  Host host;
  const auto root = host.root();
  CHECK(host.server.logins() == 0);
  root->status("file", {});
  CHECK_FALSE(host.server.sessions().empty());
  CHECK(test::wait_until([&] { return host.server.sessions().empty(); }, std::chrono::seconds(20)));
  root->status("file", {});
  CHECK(host.server.logins() == 2);
}

TEST_CASE("a login that is confined to a folder finds its root there") {
  if (::getuid() != 0) {
    WARN("not tested: sshd confines logins only where root runs it");
    return;
  }
  const test::TempDir jail("jail", "/var/lib");  // every folder on the way must be root's
  ::chmod(jail.path().c_str(), 0755);
  write_file(jail / "srv/media/file", "content");
  Host host({"ed25519", "ChrootDirectory " + jail.path().string() + "\nForceCommand internal-sftp\n"});
  const SftpRoot root("cms", host.options, "/srv/media", k_window);
  CHECK(root.status("file", {}).size_bytes == 7);
}

// --- symlinks ------------------------------------------------------------------------------------------------------

struct Found final : Visitor {
  void found(const std::string& path, const FileStatus& status) override {
    seen.push_back(path + (status.type == FileType::directory ? "/" : ""));
    if (status.type == FileType::regular) files.emplace_back(path, status);
  }
  void problem(const std::string& path, const Error& error) override {
    problems.push_back(fmt::format("{} {}", path, error.code()));
  }
  std::vector<std::string> seen;
  std::vector<std::string> problems;
  std::vector<std::pair<std::string, FileStatus>> files;
};

// A folder with symlinks that lead out of it and some that don't, behind a server that resolves none.
struct Loose {
  explicit Loose(const std::string& how) : server(how) {
    const fs::path top = dir / "content";
    write_file(top / "folder/file", "content", 1'600'000'001);
    write_file(dir / "outside/secret", "secret!", 1'600'000'001);
    fs::create_symlink("../outside", top / "out_folder");
    fs::create_symlink(dir / "outside", top / "folder/out_absolute");
    fs::create_symlink("../../outside/secret", top / "folder/out_file");
    fs::create_symlink("out_folder", top / "out_twice");
    fs::create_symlink("folder", top / "to_folder");
    fs::create_symlink(top / "folder/file", top / "to_file");
    options.host = test::LooseSftp::host();
    options.port = server.port();
    options.user = "anybody";
    options.key = server.key();
    options.known_hosts = {server.known_hosts()};
    options.sessions = 2;
  }
  SftpRoot root() const { return {"cms", options, (dir / "content").string(), k_window}; }

  test::TempDir dir{"loose"};
  test::LooseSftp server;
  SftpOptions options;
};

TEST_CASE("no symlink leads out of the root, though the server's canonical paths hide it") {
  const Loose host(GENERATE("lstat", "stat"));
  const SftpRoot root = host.root();
  for (const char* path : {"out_folder", "out_folder/secret", "folder/out_absolute/secret", "folder/out_file",
                           "out_twice/secret", "to_folder/out_file", "to_folder/out_absolute"}) {
    INFO(path);
    const auto error = error_of([&, path] { root.status(path, {}); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::source_outside);
  }
  Found found;
  root.walk("", {}, {}, found);
  CHECK(found.seen == std::vector<std::string>{"folder/", "folder/file", "to_file", "to_folder/", "to_folder/file"});
  CHECK(found.problems == std::vector<std::string>{"folder/out_absolute source_outside",
                                                   "folder/out_file source_outside", "out_folder source_outside",
                                                   "out_twice source_outside", "to_folder/out_absolute source_outside",
                                                   "to_folder/out_file source_outside"});
  for (const auto& [path, status] : found.files) {
    std::string text(7, '\0');
    const auto file = root.open(path, status, {});
    CHECK(file->read_at(0, std::as_writable_bytes(std::span(text))) == 7);
    CHECK(text == "content");
    file->require_unchanged();
  }
}

TEST_CASE("a server that lists symlinks as what they lead to, under a name that promises otherwise, leads nowhere") {
  const Loose host("stat,openssh");
  const SftpRoot root = host.root();
  Found found;
  root.walk("", {}, {}, found);
  CHECK(std::find(found.problems.begin(), found.problems.end(), "out_folder source_outside") != found.problems.end());
  for (const auto& [path, status] : found.files) {
    INFO(path);
    std::string text(7, '\0');
    const auto error = error_of([&, &file = path, &listed = status] {
      root.open(file, listed, {})->read_at(0, std::as_writable_bytes(std::span(text)));
    });
    CHECK_THAT(text, !Contains("secret"));
    if (path.ends_with("out_file")) {
      REQUIRE(error);
      CHECK(error->kind() == ErrorKind::source_outside);
    }
  }
}

TEST_CASE("a server that lists names without an end is stopped by their bytes") {
  const Loose host("flood");
  fs::create_directory(host.dir / "content/flood");
  const SftpRoot root = host.root();
  Found found;
  WalkLimits limits;
  limits.max_names = 100'000;
  const auto error = error_of([&] { root.walk("flood", limits, {}, found); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::limit);
  CHECK_THAT(error->full_text(),
             Contains("source cms:flood: names of more than 67108864 bytes") && Contains("limits.max_entries"));
  CHECK(found.seen.empty());
}

TEST_CASE("symlinks are followed below the root by absolute and relative ways, and circles end") {
  const Host host;
  const fs::path top = host.dir / "content";
  write_file(top / "a/b/file", "content", 1'600'000'001);
  const auto link = [&](const fs::path& target, const char* at) { fs::create_symlink(target, top / at); };
  link("../../a/./b//", "a/b/again");
  link(top / "a", "absolute");
  link(top, "top");
  link("circle", "circle");
  link("pong", "ping");
  link("ping", "pong");
  link("file/", "a/b/slash");
  link("..", "up");
  link(top.string() + "x", "neighbour");
  const auto root = host.root();
  for (const char* path : {"a/b/again/file", "absolute/b/file", "top/a/b/file", "top/absolute/b/again/again/file"}) {
    INFO(path);
    CHECK(text_of(*root, path) == "content");
  }
  const auto kind_of = [&](const char* path) { return error_of([&, path] { root->status(path, {}); }).value().kind(); };
  CHECK(kind_of("circle") == ErrorKind::source_unreadable);
  CHECK(kind_of("ping/x") == ErrorKind::source_unreadable);
  CHECK(kind_of("a/b/slash") == ErrorKind::source_missing);
  CHECK(kind_of("up") == ErrorKind::source_outside);
  CHECK(kind_of("neighbour") == ErrorKind::source_outside);
}

TEST_CASE("a root that is itself reached through a symlink is read") {
  const Loose host("lstat");
  fs::create_symlink("content", host.dir / "current");
  fs::create_symlink(host.dir / "current/folder/file", host.dir / "content/by_current");
  const SftpRoot root("cms", host.options, (host.dir / "current").string(), k_window);
  CHECK(root.status("", {}).type == FileType::directory);
  CHECK(text_of(root, "folder/file") == "content");
  CHECK(text_of(root, "by_current") == "content");
}

TEST_CASE("names that a folder on the other side may have arrive as they are") {
  Host host;
  for (const char* name : {"new\nline", "\x01", "\xff\xfe", "back\\slash", "-rf", "..x", " "}) {
    write_file(host.dir / "content/odd" / name, "x");
  }
  const auto root = host.root();
  Found found;
  root->walk("odd", {}, {}, found);
  CHECK(found.files.size() == 7);
  CHECK(found.problems.empty());
}

}  // namespace
}  // namespace zipmodule::storage
