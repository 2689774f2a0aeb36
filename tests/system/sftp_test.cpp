// Content that lies on another host: the real binary, a real sshd.
#include <csignal>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/ssh_server.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

constexpr std::int64_t k_time = 1'600'000'001;

// The root 'cms' is served by sshd; 'default' is a folder of this host.
struct RemoteSite {
  RemoteSite() {
    write_file(server.known_hosts(), server.host_key_line(line.port()));
    site.set("content.roots", "{default: " + site.content().string() + ", cms: {url: 'sftp://" + server.user() + "@" +
                                  SshServer::host() + ":" + std::to_string(line.port()) + there.path().string() +
                                  "', key: " + server.key().string() +
                                  ", known_hosts: " + server.known_hosts().string() + ", timeout: 30s}}");
  }
  void write(const std::string& path, const std::string& content, std::int64_t time = k_time) const {
    write_file(there / path, content, time);
  }
  void check_archive(const std::string& archive) const {
    const Verdict verdict = judge(site.link("s", archive), there.path());
    INFO(verdict.text());
    CHECK(verdict.good());
  }
  TempDir there{"cms"};
  SshServer server;
  Relay line{server.port()};
  Site site;
};

TEST_CASE("content of another host is zipped, and a republish fetches only what changed") {
  RemoteSite cms;
  for (int i = 0; i < 60; ++i) cms.write("album/" + std::to_string(i) + ".jpg", random_bytes(100'000, 100U + i));
  cms.write("album/book.txt", wordy_text(5'000'000));
  cms.write("album/film.mp4", random_bytes(5'000'000));
  cms.write("album/empty", "");
  cms.site.publish("s", "album", "cms:album");
  Result run = cms.site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  CHECK(run.quiet());
  cms.check_archive("album");
  const std::uint64_t first = cms.line.sent_bytes();
  CHECK(first > 16'000'000);

  cms.write("album/7.jpg", random_bytes(100'000, 7), k_time + 1);
  cms.site.publish("s", "album", "cms:album");
  run = cms.site.run();
  REQUIRE(run.exit_code == 0);
  cms.check_archive("album");
  const Json row = cms.site.telemetry("s", "album").back();
  CHECK(row["outcome"] == "done");
  CHECK(row["files_reused"] == 62);
  const std::uint64_t second = cms.line.sent_bytes() - first;
  CHECK(second < first * 3 / 100);

  cms.site.publish("s", "album", "cms:album");
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(cms.site.telemetry("s", "album").back()["files_reused"] == 63);
}

TEST_CASE("the same content gives the same archive from here and from another host") {
  RemoteSite cms;
  for (const fs::path& folder : {cms.there / "album", cms.site.content("album")}) {
    write_file(folder / "book.txt", wordy_text(5'000'000), k_time);
    write_file(folder / "film.mp4", random_bytes(5'000'000), k_time);
    write_file(folder / "small.txt", wordy_text(5'000), k_time);
    write_file(folder / "deep/er/x", "x", k_time);
    for (const char* name : {"deep/er", "deep", ""}) set_mtime(folder / name, k_time);
  }
  cms.site.publish("s", "far", "cms:album");
  cms.site.publish("s", "near", "album");
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(read_file(cms.site.link("s", "far")) == read_file(cms.site.link("s", "near")));
}

TEST_CASE("a host that is away, or has another key, keeps the last good build and holds up nobody") {
  RemoteSite cms;
  cms.write("album/a.jpg", random_bytes(50'000));
  write_file(cms.site.content("b.jpg"), random_bytes(50'000), k_time);
  cms.site.publish("s", "album", "cms:album");
  REQUIRE(cms.site.run().exit_code == 0);
  const auto target = fs::read_symlink(cms.site.link("s", "album"));
  std::string kind;
  std::string said;
  SECTION("away") {
    cms.server.stop();
    kind = "source_unreachable";
    said = "look whether the host is up";
  }
  SECTION("another key") {
    cms.server.change_host_key();
    kind = "source_refused";
    said = "THE HOST'S KEY HAS CHANGED";
  }
  for (const char* archive : {"album", "album2", "album3"}) cms.site.publish("s", archive, "cms:album");
  cms.site.publish("t", "near", "b.jpg");
  const Result run = cms.site.run();
  CHECK_THAT(run.err, Contains(said));
  CHECK(cms.site.state("t", "near") == "done");
  CHECK(fs::read_symlink(cms.site.link("s", "album")) == target);
  for (const char* archive : {"album", "album2", "album3"}) {
    const Json job = cms.site.job("s", archive);
    CHECK(job["last_error_kind"] == kind);
    CHECK((job["state"] == "waiting" || job["state"] == "pending"));
    CHECK(job["attempts"] == 0);
    const Result explained = cms.site.call({"explain", "s", archive});
    CHECK_THAT(explained.out, Contains(kind));
  }
  if (kind == "source_unreachable") cms.server.start();
  if (kind == "source_refused") write_file(cms.server.known_hosts(), cms.server.host_key_line(cms.line.port()));
  cms.site.make_due();
  CHECK(cms.site.run().exit_code == 0);
  CHECK(cms.site.state("s", "album3") == "done");
}

TEST_CASE("sessions that are killed in the middle of a build cost nothing but time") {
  RemoteSite cms;
  for (int i = 0; i < 8; ++i) cms.write("album/" + std::to_string(i), random_bytes(20'000'000, 50U + i));
  cms.site.publish("s", "album", "cms:album");
  Process run = cms.site.start({"run"});
  int killed = 0;
  while (run.running() && killed < 3) {
    if (cms.server.logins() > 2 * static_cast<std::size_t>(killed) && !cms.server.sessions().empty()) {
      cms.server.signal_sessions(SIGKILL);
      ++killed;
    }
    pause_between_polls();
  }
  const Result result = run.wait();
  INFO(result.text());
  CHECK(killed > 0);
  for (int i = 0; i < 5 && cms.site.state("s", "album") != "done"; ++i) {
    cms.site.make_due();
    cms.site.run();
  }
  CHECK(cms.site.state("s", "album") == "done");
  cms.check_archive("album");
}

TEST_CASE("a host that stands still in the middle of a build holds up nobody else's") {
  RemoteSite cms;
  cms.site.set("run.memory", "32MiB");
  cms.site.set("run.workers", "2");
  for (int i = 0; i < 10; ++i) cms.write("album/" + std::to_string(i), random_bytes(10'000'000, 70U + i));
  for (int i = 0; i < 4; ++i) {
    write_file(cms.site.content("near/" + std::to_string(i)), random_bytes(10'000'000, 90U + i), k_time);
  }
  cms.site.publish("s", "far", "cms:album");
  Process run = cms.site.start({"run"});
  REQUIRE(wait_until([&] { return cms.line.sent_bytes() > 5'000'000; }));
  cms.server.signal_sessions(SIGSTOP);
  cms.site.publish("s", "near", "near");
  CHECK(wait_until([&] { return cms.site.state("s", "near") == "done"; }));
  CHECK(cms.site.state("s", "far") == "running");
  cms.server.signal_sessions(SIGCONT);
  const Result result = run.wait();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(cms.site.state("s", "far") == "done");
  cms.check_archive("far");
}

TEST_CASE("check reaches every host, and tells what is wrong with one") {
  RemoteSite cms;
  CHECK(cms.site.probe("root cms")["level"] == "ok");
  cms.server.stop();
  const Json probe = cms.site.probe("root cms");
  CHECK(probe["level"] == "problem");
  CHECK_THAT(probe["detail"].get<std::string>(), Contains("sftp://"));
}

TEST_CASE("a run that reads and delivers over SFTP ends at any limit of threads") {
  RemoteSite cms;
  const TempDir copies{"copies"};
  for (int i = 0; i < 20; ++i) cms.write("album/" + std::to_string(i) + ".jpg", random_bytes(20'000, 100U + i));
  cms.site.set("run.threads", "8");
  cms.site.set("archives.deliver", "{far: {url: 'sftp://" + cms.server.user() + "@" + SshServer::host() + ":" +
                                       std::to_string(cms.line.port()) + copies.path().string() +
                                       "', key: " + cms.server.key().string() +
                                       ", known_hosts: " + cms.server.known_hosts().string() + ", required: true}}");
  cms.site.publish("s", "first", "cms:album");
  // All by one user, whose store it is.
  const auto run_with = [&](unsigned threads) {
    Command command = cms.site.command({"run"});
    command.argv = with_thread_limit(threads, std::move(command.argv));
    command.timeout = std::chrono::seconds(60);
    return run(command);
  };
  REQUIRE(run_with(1'000).exit_code == 0);
  // main, signals, the pool; heartbeat and watch, a worker; fetcher and closer of the root; the deliverer, one of its
  // target, its closer
  constexpr unsigned k_needs = 11;
  for (unsigned threads = 3; threads <= 30; ++threads) {
    const std::string archive = "a" + std::to_string(threads);
    cms.site.publish("s", archive, "cms:album");
    const Result ended = run_with(threads);
    INFO(threads << " threads: " << ended.text());
    REQUIRE_FALSE(ended.timed_out);
    if (threads < k_needs) {
      CHECK(ended.exit_code == 74);
      CHECK_THAT(ended.err, Contains("start a thread for") && Contains("ulimit -u"));
      CHECK(cms.site.state("s", archive) == "pending");
    } else {
      CHECK(ended.exit_code == 0);
      CHECK(cms.site.state("s", archive) == "done");
      cms.check_archive(archive);
    }
  }
  CHECK(run_with(1'000).exit_code == 0);
  for (unsigned threads = 3; threads < k_needs; ++threads) {
    CHECK(cms.site.state("s", "a" + std::to_string(threads)) == "done");
  }
}

TEST_CASE("a password in a root's URL is refused and not repeated") {
  Site site;
  site.set("content.roots", "{cms: 'sftp://user:secret@host/x'}");
  const Result result = site.call({"check-config"});
  CHECK(result.exit_code == 78);
  CHECK_THAT(result.text(), Contains("must not hold a password"));
  CHECK_THAT(result.text(), !Contains("secret"));
}

}  // namespace
}  // namespace zipmodule::test
