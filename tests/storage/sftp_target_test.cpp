// Uploads to hosts in trouble; what every target promises is in target_test.cpp, logins and keys are in sftp_root_test.cpp.
#include "storage/sftp_target.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/archive_name.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/process.hpp"
#include "support/ssh_server.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::read_file;
using test::SshServer;
using test::write_file;

const std::string k_build = "abcdef" + std::string(26, '0');
const std::string k_name = build_path(k_build);
const std::string k_part = "builds/ab/." + k_build + ".zip.part";
const tree::Link k_link{"series", "archive", k_build};
const std::string k_marker = to_text(tree::TargetMarker{std::string(32, 'a'), std::string(32, 'd')});
constexpr std::size_t k_size = 60'000'000;

// A target on a host, and an archive for it.
struct Host {
  explicit Host(const SshServer::Options& server_options = {}) : server(server_options) {
    write_file(there(tree::k_target_marker), k_marker);
    write_file(dir / "archive", content);
    archive = Fd(::open((dir / "archive").c_str(), O_RDONLY | O_CLOEXEC));
    options.host = SshServer::host();
    options.port = server.port();
    options.user = server.user();
    options.key = server.key();
    options.known_hosts = {server.known_hosts()};
    options.sessions = 3;
    options.timeout = std::chrono::seconds(20);
  }
  std::unique_ptr<SftpTarget> target(bool read_back = false) const {
    auto target = std::make_unique<SftpTarget>("mirror", options, (dir / "target").string(), read_back);
    target->expect(k_marker);
    return target;
  }
  LocalSource source() const { return {archive.get(), content.size()}; }
  fs::path there(const std::string& path) const { return dir / "target" / path; }
  bool delivered() const { return read_file(there(k_name)) == content && !fs::exists(there(k_part)); }

  const std::string content = test::random_bytes(k_size);
  test::TempDir dir{"mirror"};
  SshServer server;
  SftpOptions options;
  Fd archive;
};

// Puts the archive, and does something when a third of it has arrived.
std::optional<Error> put_and(const Host& host, Target& target, const std::function<void()>& meanwhile) {
  bool arrived = false;
  std::jthread other([&] {
    arrived = test::wait_until([&] {
      std::error_code error;
      const auto size = fs::file_size(host.there(k_part), error);
      return !error && size >= k_size / 3;
    });
    if (arrived) meanwhile();
  });
  std::uint64_t sent = 0;
  auto error = error_of([&] { sent = target.put(host.source(), k_build, {}); });
  other.join();
  CHECK(arrived);
  CHECK(sent == (error ? 0 : k_size));
  return error;
}

// Putting ends so, and nothing was sent.
void refused(const Host& host, ErrorKind kind, const std::string& text) {
  const auto target = host.target();
  const auto error = error_of([&] { target->put(host.source(), k_build, {}); });
  REQUIRE(error);
  CHECK(error->kind() == kind);
  CHECK(error->retryable());
  CHECK_THAT(error->full_text(), Contains("target mirror: "));
  CHECK_THAT(error->full_text(), Contains(text));
  CHECK_FALSE(fs::exists(host.there("builds")));
}

// --- hosts that are away, or others --------------------------------------------------------------------------------

TEST_CASE("a target where nobody listens is unreachable") {
  Host host;
  host.server.stop();
  const Stopwatch watch;
  refused(host, ErrorKind::target_unreachable, "Connection refused");
  CHECK(watch.seconds() < 5);
}

TEST_CASE("a target that takes connections and says nothing is unreachable, within the time-out") {
  Host host;
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(socket.get(), 10) == 0);
  REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  host.options.port = ntohs(address.sin_port);
  host.options.timeout = std::chrono::seconds(1);
  const Stopwatch watch;
  refused(host, ErrorKind::target_unreachable, "no answer for");
  CHECK(watch.seconds() < 5);
}

TEST_CASE("a target whose key is not known, or another one, is refused before anything was sent") {
  Host host;
  SECTION("not known") {
    write_file(host.server.known_hosts(), "");
    refused(host, ErrorKind::target_refused, "is not in known_hosts");
  }
  SECTION("another one") {
    host.server.change_host_key();
    refused(host, ErrorKind::target_refused, "THE HOST'S KEY HAS CHANGED");
  }
  CHECK(host.server.logins() == 0);
}

TEST_CASE("a login that the target does not have is refused") {
  Host host;
  host.options.user = "nobody-of-this-name";
  refused(host, ErrorKind::target_refused, "login refused");
}

// --- connections that are lost -------------------------------------------------------------------------------------

TEST_CASE("an upload whose session is killed goes on where it was") {
  Host host;
  test::Relay relay(host.server.port());
  host.options.port = relay.port();
  write_file(host.server.known_hosts(), host.server.host_key_line(relay.port()));
  const auto target = host.target();
  const auto error = put_and(host, *target, [&] { host.server.signal_sessions(SIGKILL); });
  CHECK_FALSE(error);
  CHECK(host.delivered());
  CHECK(host.server.logins() == 2);
  // What was on its way when it was killed is sent again: a few MiB.
  CHECK(relay.received_bytes() < k_size + k_size / 4);
}

TEST_CASE("an upload whose beginning was taken away meanwhile starts anew") {
  const Host host;
  const std::string how = GENERATE("removed", "cut", "emptied");
  const auto target = host.target();
  const auto error = put_and(host, *target, [&] {
    host.server.freeze_sessions();
    if (how == "removed") fs::remove(host.there(k_part));
    if (how == "cut") fs::resize_file(host.there(k_part), k_size / 10);
    if (how == "emptied") fs::resize_file(host.there(k_part), 0);
    host.server.signal_sessions(SIGKILL);
  });
  INFO(how);
  CHECK_FALSE(error);
  CHECK(host.delivered());
  CHECK(host.server.logins() == 2);
}

TEST_CASE("an upload that is cut off again and again ends, with nothing under the name") {
  const Host host;
  const auto target = host.target();
  std::optional<Error> error;
  int cuts = 0;
  {
    const std::jthread killer([&](const std::stop_token& stop) {
      std::uintmax_t last = 0;
      while (!stop.stop_requested()) {
        std::error_code ignored;
        const auto size = fs::file_size(host.there(k_part), ignored);
        if (ignored || size <= last) {
          test::pause_between_polls();
          continue;
        }
        host.server.signal_sessions(SIGKILL);
        last = size;
        ++cuts;
      }
    });
    error = error_of([&] { target->put(host.source(), k_build, {}); });
  }
  CHECK(cuts > 1);
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unreachable);
  CHECK_THAT(error->full_text(), Contains("target mirror: "));
  CHECK_FALSE(fs::exists(host.there(k_name)));
  CHECK(host.target()->put(host.source(), k_build, {}) == k_size);  // another run's
  CHECK(host.delivered());
}

TEST_CASE("sessions that died between two archives are replaced") {
  const Host host;
  const auto target = host.target();
  target->probe({});
  host.server.signal_sessions(SIGKILL);
  CHECK(target->put(host.source(), k_build, {}) == k_size);
  host.server.signal_sessions(SIGKILL);
  target->point(k_link, {});
  host.server.signal_sessions(SIGKILL);
  CHECK(target->unpoint(k_link, {}));
  host.server.signal_sessions(SIGKILL);
  target->remove(k_build, {});
  CHECK_FALSE(fs::exists(host.there(k_name)));
}

TEST_CASE("a session that falls silent in the middle of an upload is replaced by another") {
  Host host;
  host.options.timeout = std::chrono::seconds(1);
  const auto target = host.target();
  const auto error = put_and(host, *target, [&] { host.server.freeze_sessions(); });
  host.server.signal_sessions(SIGKILL);
  CHECK_FALSE(error);
  CHECK(host.delivered());
}

TEST_CASE("a host that falls silent in the middle of an upload is unreachable within the time-out") {
  Host host;
  host.options.timeout = std::chrono::seconds(1);
  const auto target = host.target();
  const Stopwatch watch;
  const auto error = put_and(host, *target, [&] { host.server.signal_all(SIGSTOP); });
  CHECK(watch.seconds() < 10);
  host.server.signal_all(SIGCONT);
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unreachable);
  CHECK_THAT(error->full_text(), Contains("target mirror: "));
  CHECK_FALSE(fs::exists(host.there(k_name)));
}

TEST_CASE("a stop ends the waiting for a silent target at once") {
  const Host host;
  const auto target = host.target();
  std::stop_source stop;
  Stopwatch watch;
  std::optional<Error> error;
  {
    const std::jthread other([&] {
      test::wait_until([&] { return fs::exists(host.there(k_part)); });
      host.server.signal_all(SIGSTOP);
      watch = {};
      stop.request_stop();
    });
    error = error_of([&] { target->put(host.source(), k_build, stop.get_token()); });
  }
  CHECK(watch.seconds() < 5);
  host.server.signal_all(SIGCONT);
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK_FALSE(fs::exists(host.there(k_name)));
}

// --- what is there is not what was sent ----------------------------------------------------------------------------

TEST_CASE("reading back finds a byte that was changed there, and the next upload mends it") {
  const Host host;
  const auto place = static_cast<std::streamoff>(GENERATE(0, 5'000'001));
  const auto change = [&] {
    host.server.freeze_sessions();
    std::fstream file(host.there(k_part), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(place);
    file.put(static_cast<char>(~host.content[static_cast<std::size_t>(place)]));
    file.close();
    host.server.signal_sessions(SIGCONT);
  };
  const auto target = host.target(true);
  const auto error = put_and(host, *target, change);
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::verify);
  CHECK_THAT(error->full_text(), Contains("target mirror: "));
  CHECK_FALSE(fs::exists(host.there(k_name)));
  CHECK(target->put(host.source(), k_build, {}) == k_size);
  CHECK(host.delivered());
  // That is what it is for: without it, nobody sees.
  target->remove(k_build, {});
  CHECK_FALSE(put_and(host, *host.target(false), change));
  CHECK_FALSE(host.delivered());
}

TEST_CASE("reading back goes on when its session is killed") {
  const Host host;
  const auto target = host.target(true);
  const auto error = put_and(host, *target, [&] {
    // All that was sent has arrived: what is asked for now is the size, and then the bytes.
    test::wait_until([&] {
      std::error_code ignored;
      return fs::file_size(host.there(k_part), ignored) == k_size;
    });
    host.server.signal_sessions(SIGKILL);
  });
  CHECK_FALSE(error);
  CHECK(host.delivered());
  CHECK(host.server.logins() == 2);
}

// --- folders -------------------------------------------------------------------------------------------------------

TEST_CASE("a folder that is not absolute is one below where the login begins, also of a login that is confined") {
  if (::getuid() != 0) {
    WARN("not tested: sshd confines logins only where root runs it");
    return;
  }
  const test::TempDir jail("jail", "/var/lib");  // every folder on the way must be root's
  ::chmod(jail.path().c_str(), 0755);
  const fs::path folder = jail / "srv/archives";
  fs::create_directories(folder);
  const Host host({"ed25519", "ChrootDirectory " + jail.path().string() + "\nForceCommand internal-sftp\n"});
  const std::string configured = GENERATE("/srv/archives", "srv/archives");
  SftpTarget target("mirror", host.options, configured, true);
  CHECK(target.probe({}).free_bytes);
  CHECK_FALSE(target.read_marker({}));
  target.write_marker(k_marker, {});
  target.expect(k_marker);
  CHECK(target.put(host.source(), k_build, {}) == k_size);
  CHECK(target.put(host.source(), k_build, {}) == 0);
  target.point(k_link, {});
  CHECK(read_file(folder / "public/series/archive.zip") == host.content);
  CHECK(fs::read_symlink(folder / "public/series/archive.zip") == "../../" + k_name);
  CHECK(target.unpoint(k_link, {}));
  target.remove(k_build, {});
  CHECK(test::listing(folder) ==
        std::vector<std::string>{".zipmodule.target", "builds/", "builds/ab/", "public/", "public/series/"});
}

TEST_CASE("the folder where the login begins can be the target itself") {
  if (::getuid() != 0) {
    WARN("not tested: sshd confines logins only where root runs it");
    return;
  }
  const test::TempDir jail("jail", "/var/lib");
  ::chmod(jail.path().c_str(), 0755);
  const Host host({"ed25519", "ChrootDirectory " + jail.path().string() + "\nForceCommand internal-sftp\n"});
  SftpTarget target("mirror", host.options, "", false);
  CHECK(target.probe({}).free_bytes);
  CHECK_FALSE(target.read_marker({}));
  CHECK(target.is_empty({}));
  target.write_marker(k_marker, {});
  CHECK(read_file(jail / tree::k_target_marker) == k_marker);
  target.expect(k_marker);
  CHECK(target.put(host.source(), k_build, {}) == k_size);
  target.point(k_link, {});
  CHECK(read_file(jail / "public/series/archive.zip") == host.content);
}

TEST_CASE("a probe notices that the host makes no symlinks, and leaves nothing behind") {
  const Host host({"ed25519", "ForceCommand internal-sftp -P symlink\n"});
  const auto error = error_of([&] { host.target()->probe({}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->full_text(), Contains("target mirror: ") && Contains("no symlink can be made"));
  CHECK(test::listing(host.there("")) == std::vector<std::string>{".zipmodule.target"});
}

}  // namespace
}  // namespace zipmodule::storage
