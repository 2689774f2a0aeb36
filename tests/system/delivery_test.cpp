// Archives delivered to other places: the real binary, a second folder, a real sshd.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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
constexpr const char* k_marker = ".zipmodule.target";

// A disk of its own at a folder, until it is unmounted: another folder, mounted there. Needs root.
class Disk {
 public:
  Disk(const fs::path& disk, fs::path folder) : folder_(std::move(folder)) {
    fs::create_directories(disk);
    fs::create_directories(folder_);
    mounted_ = ::mount(disk.c_str(), folder_.c_str(), nullptr, MS_BIND, nullptr) == 0;
    REQUIRE(mounted_);
  }
  ~Disk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  void unmount() {
    REQUIRE(::umount(folder_.c_str()) == 0);
    mounted_ = false;
  }

 private:
  const fs::path folder_;
  bool mounted_ = false;
};

// Archives are delivered to 'second', a folder of this host, and to 'mirror', a host with sshd.
struct Publisher {
  Publisher() {
    fs::create_directory(second());
    write_file(server.known_hosts(), server.host_key_line(line.port()));
    deliver("{second: " + second().string() + ", mirror: " + mirror_place() + "}");
    write_file(site.content("a.jpg"), random_bytes(300'000), k_time);
  }
  fs::path second() const { return site.scratch("second"); }
  std::string mirror_place(const std::string& more = {}, const std::string& timeout = "3s") const {
    return "{url: 'sftp://" + server.user() + "@" + SshServer::host() + ":" + std::to_string(line.port()) +
           mirror.path().string() + "', key: " + server.key().string() +
           ", known_hosts: " + server.known_hosts().string() + ", timeout: " + timeout + more + "}";
  }
  void deliver(const std::string& targets) { site.set("archives.deliver", targets); }
  void change(unsigned seed) { write_file(site.content("a.jpg"), random_bytes(300'000, seed), k_time + seed); }
  Result publish_and_run(const std::string& more = {}) const {
    site.publish("s", "a", "a.jpg", more);
    return site.run();
  }
  // What its public name at that place leads to is this archive, byte by byte.
  void check_there(const fs::path& place, const std::string& archive = "a") const {
    const fs::path link = place / "public/s" / (archive + ".zip");
    REQUIRE(fs::is_symlink(link));
    CHECK(fs::read_symlink(link) == fs::read_symlink(site.link("s", archive)));
    CHECK(read_file(link) == read_file(site.link("s", archive)));
  }
  // Whether a later build will recognise the content as unchanged.
  bool settled() const {
    struct stat s {};
    return ::stat(site.content("a.jpg").c_str(), &s) == 0 && ::time(nullptr) > s.st_ctim.tv_sec + 3;
  }
  // But for the marker.
  static std::size_t files_in(const fs::path& place) {
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(place)) {
      const bool counts = entry.is_regular_file() && !entry.is_symlink() && entry.path().filename() != k_marker;
      files += counts ? 1 : 0;
    }
    return files;
  }
  std::string state_at(const std::string& target) const {
    return site.sql(
        "SELECT string_agg(state, ',' ORDER BY created_at) FROM zipmodule.delivery_status WHERE target = '" + target +
        "'");
  }
  std::string outcomes(const std::string& target) const {
    return site.sql("SELECT string_agg(outcome, ',' ORDER BY id) FROM zipmodule.delivery_telemetry WHERE target = '" +
                    target + "'");
  }
  void make_due() const { site.sql("UPDATE zipmodule.delivery SET due_at = statement_timestamp()"); }
  // As after the grace time.
  void age() const {
    site.sql("UPDATE zipmodule.delivery SET retired_at = retired_at - interval '2 days' WHERE retired_at IS NOT NULL");
  }

  TempDir mirror{"mirror"};
  SshServer server;
  Relay line{server.port()};
  Site site;
};

TEST_CASE("an archive is delivered to every target, and a newer one takes its place there") {
  Publisher cms;
  Result run = cms.publish_and_run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  CHECK(run.quiet());
  CHECK(cms.site.state("s", "a") == "done");
  cms.check_there(cms.second());
  cms.check_there(cms.mirror.path());
  const std::string row =
      "SELECT outcome || ' ' || (bytes = bytes_sent) || ' ' || (total_seconds > 0 AND upload_seconds > 0 AND "
      "switch_seconds "
      "> 0 AND wait_seconds >= 0 AND revision = 1 AND attempt = 1) FROM zipmodule.delivery_telemetry ORDER BY target";
  CHECK(cms.site.sql(row) == "done true true\ndone true true");

  cms.change(2);
  REQUIRE(cms.publish_and_run().exit_code == 0);
  cms.check_there(cms.second());
  cms.check_there(cms.mirror.path());
  CHECK(cms.state_at("mirror") == "retired,delivered");
  CHECK(Publisher::files_in(cms.mirror.path()) == 2);  // whoever is downloading the old one ends on it

  cms.age();
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(cms.second());
  cms.check_there(cms.mirror.path());
  CHECK(cms.state_at("mirror") == "delivered");
  CHECK(Publisher::files_in(cms.mirror.path()) == 1);
  CHECK(Publisher::files_in(cms.second()) == 1);
  CHECK(cms.outcomes("second") == "done,done,removed");
}

TEST_CASE("a publish that changes nothing sends nothing") {
  Publisher cms;
  REQUIRE(wait_until([&] { return cms.settled(); }));
  REQUIRE(cms.publish_and_run().exit_code == 0);
  const auto logins = cms.server.logins();
  REQUIRE(cms.publish_and_run().exit_code == 0);
  CHECK(cms.site.job("s", "a")["built_revision"] == 2);
  CHECK(cms.site.state("s", "a") == "done");
  CHECK(cms.server.logins() == logins);
  CHECK(cms.outcomes("mirror") == "done");
  CHECK(cms.state_at("mirror") == "delivered");
}

TEST_CASE("a job is done when its required targets have it, and a failing target is tried by itself") {
  Publisher cms;
  cms.deliver("{second: " + cms.second().string() + ", mirror: " + cms.mirror_place(", required: true") + "}");
  cms.server.stop();
  const Result run = cms.publish_and_run();
  CHECK(run.exit_code == 1);
  CHECK_THAT(run.err, Contains("target mirror") && Contains("it will be tried again"));
  const Json job = cms.site.job("s", "a");
  CHECK(job["state"] == "delivering");
  CHECK(job["built_revision"] == 1);
  cms.check_there(cms.second());
  CHECK(fs::is_symlink(cms.site.link("s", "a")));
  CHECK(cms.state_at("mirror") == "waiting");
  CHECK(cms.outcomes("mirror") == "retry");
  CHECK(cms.site.sql("SELECT error_kind FROM zipmodule.delivery_telemetry WHERE target = 'mirror'") ==
        "target_unreachable");

  cms.server.start();
  CHECK(cms.site.run().exit_code == 0);  // not due yet
  CHECK(cms.site.state("s", "a") == "delivering");
  CHECK(cms.site.call({"retry", "s", "a"}).exit_code == 0);
  CHECK(cms.site.run().exit_code == 0);
  CHECK(cms.site.state("s", "a") == "done");
  cms.check_there(cms.mirror.path());
  CHECK(cms.site.telemetry("s", "a").size() == 1);  // nothing was built again
  CHECK(cms.site.builds().size() == 1);
}

TEST_CASE("a job chooses its targets by name, and may change its choice") {
  Publisher cms;
  REQUIRE(cms.publish_and_run("deliver => '{second}'").exit_code == 0);
  CHECK(cms.outcomes("mirror").empty());
  cms.check_there(cms.second());
  CHECK(Publisher::files_in(cms.mirror.path()) == 0);

  REQUIRE(cms.publish_and_run("deliver => '{mirror}'").exit_code == 0);
  cms.check_there(cms.mirror.path());
  CHECK_THAT(cms.state_at("second"), Contains("retired"));
  cms.age();
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(Publisher::files_in(cms.second()) == 0);
  CHECK_FALSE(fs::is_symlink(cms.second() / "public/s/a.zip"));  // nobody is led to what is gone

  REQUIRE(cms.publish_and_run("deliver => '{}'").exit_code == 0);
  CHECK(cms.site.state("s", "a") == "done");
  REQUIRE(cms.publish_and_run().exit_code == 0);  // all of them again
  cms.check_there(cms.second());
  cms.check_there(cms.mirror.path());
}

TEST_CASE("a job that names an unknown target fails by name, before anything is built") {
  Publisher cms;
  const Result run = cms.publish_and_run("deliver => '{second,mirrer}'");
  CHECK(run.exit_code == 1);
  CHECK(cms.site.state("s", "a") == "failed");
  CHECK_THAT(cms.site.job("s", "a")["last_error"].get<std::string>(), Contains("'mirrer', which is no target"));
  CHECK(cms.site.builds().empty());
  CHECK_THROWS_WITH(cms.site.publish("s", "b", "a.jpg", "deliver => '{a b}'"), Contains("deliver: a target's name"));
}

TEST_CASE("an archive goes where the publish that it was built for said, whatever was published since") {
  Publisher cms;
  REQUIRE(cms.publish_and_run("deliver => '{}'").exit_code == 0);
  cms.site.publish("s", "a", "a.jpg", "quiet => '1 hour'");  // waits, and would go everywhere
  cms.deliver("{second: {url: " + cms.second().string() + ", required: true}}");
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(Publisher::files_in(cms.second()) == 0);

  cms.deliver("{second: " + cms.second().string() + "}");
  REQUIRE(cms.publish_and_run().exit_code == 0);
  cms.check_there(cms.second());
  cms.site.publish("s", "a", "a.jpg", "deliver => '{nowhere}'");  // fails, so what was built before stays
  CHECK(cms.site.run().exit_code == 1);
  cms.deliver("{second: {url: " + cms.second().string() + ", required: true}}");
  cms.age();
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(cms.second());
}

TEST_CASE("a target that moves gets everything once more, and a retry brings back what was taken away there") {
  Publisher cms;
  cms.deliver("{second: " + cms.second().string() + "}");
  REQUIRE(cms.publish_and_run().exit_code == 0);
  const fs::path moved = cms.site.scratch("moved");
  fs::create_directory(moved);
  cms.deliver("{second: " + moved.string() + "}");
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(moved);

  fs::remove_all(moved / "public");
  fs::remove_all(moved / "builds");
  CHECK(cms.site.call({"retry", "s", "a"}).exit_code == 0);
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(moved);
  CHECK(cms.site.telemetry("s", "a").size() == 1);
}

// A run that finds the target's place wrong says so, and writes nothing there.
void is_away(const Publisher& cms, const std::string& why) {
  const auto before = listing(cms.second());
  const Result run = cms.site.run();
  INFO(run.text());
  CHECK(run.exit_code == 1);
  CHECK_THAT(run.err, Contains("target second: ") && Contains(why) && Contains("it will be tried again"));
  CHECK(cms.site.sql("SELECT error_kind FROM zipmodule.delivery_telemetry ORDER BY id DESC LIMIT 1") ==
        "target_unreachable");
  CHECK_THAT(cms.site.probe("target second").dump(), Contains(why));
  CHECK(listing(cms.second()) == before);
}

TEST_CASE("what is published while a target's disk is away goes there when it is back, and nothing to the disk below") {
  if (::geteuid() != 0) {
    WARN("not tested: mounting needs root");
    return;
  }
  Publisher cms;
  cms.deliver("{second: {url: " + cms.second().string() + ", required: true}}");
  const fs::path files = cms.site.scratch("disk");
  {
    Disk disk(files, cms.second());
    REQUIRE(cms.publish_and_run().exit_code == 0);
    cms.check_there(cms.second());
    disk.unmount();
  }
  const auto first = fs::read_symlink(files / "public/s/a.zip");
  cms.change(2);
  cms.site.publish("s", "a", "a.jpg");
  is_away(cms, "no marker .zipmodule.target");
  CHECK(fs::is_empty(cms.second()));
  CHECK(cms.site.state("s", "a") == "delivering");
  // Nor is anything removed there.
  cms.age();
  cms.site.run();
  CHECK(fs::is_empty(cms.second()));

  const Disk back(files, cms.second());
  CHECK(fs::read_symlink(cms.second() / "public/s/a.zip") == first);
  cms.make_due();
  const Result run = cms.site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(cms.site.state("s", "a") == "done");
  cms.check_there(cms.second());
  CHECK(fs::read_symlink(cms.second() / "public/s/a.zip") != first);
}

TEST_CASE("a new disk in a target's place is used when it is adopted, and everything is delivered there again") {
  if (::geteuid() != 0) {
    WARN("not tested: mounting needs root");
    return;
  }
  Publisher cms;
  cms.deliver("{second: " + cms.second().string() + "}");
  {
    Disk disk(cms.site.scratch("old disk"), cms.second());
    REQUIRE(cms.publish_and_run().exit_code == 0);
    cms.site.publish("s", "b", "a.jpg");
    REQUIRE(cms.site.run().exit_code == 0);
    disk.unmount();
  }
  {
    Disk disk(cms.site.scratch("new disk"), cms.second());
    cms.site.publish("s", "c", "a.jpg");
    is_away(cms, "zipmodule store adopt --target second");
    const Result adopted = cms.site.call({"store", "adopt", "--target", "second"});
    INFO(adopted.text());
    REQUIRE(adopted.exit_code == 0);
    cms.make_due();
    REQUIRE(cms.site.run().exit_code == 0);
    for (const char* archive : {"a", "b", "c"}) cms.check_there(cms.second(), archive);
    CHECK(Publisher::files_in(cms.second()) == 3);
    CHECK(cms.site.telemetry("s", "a").size() == 1);  // nothing was built again
    CHECK(cms.site.probe("target second")["level"] == "ok");
    disk.unmount();
  }
  // The old one is another place now.
  const Disk disk(cms.site.scratch("old disk"), cms.second());
  cms.site.publish("s", "d", "a.jpg");
  is_away(cms, "that of another place");
}

TEST_CASE("a folder with archives of others is no target until it is adopted") {
  Publisher cms;
  const std::string others = std::string(32, '9');
  write_file(cms.second() / "builds/99" / (others + ".zip"), "another's");
  cms.deliver("{second: " + cms.second().string() + "}");
  const Result refused = cms.publish_and_run();
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, Contains("target second: archives lie there that this database does not know"));
  CHECK(listing(cms.second()) == std::vector<std::string>{"builds/", "builds/99/", "builds/99/" + others + ".zip"});
  REQUIRE(cms.site.call({"store", "adopt", "--target", "second"}).exit_code == 0);
  cms.make_due();
  CHECK(cms.site.run().exit_code == 0);
  cms.check_there(cms.second());
}

TEST_CASE("a target of one database is refused to another") {
  Publisher cms;
  cms.deliver("{second: " + cms.second().string() + "}");
  REQUIRE(cms.publish_and_run().exit_code == 0);
  const auto before = listing(cms.second());
  Publisher other;
  other.deliver("{second: " + cms.second().string() + "}");
  const Result refused = other.publish_and_run();
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, Contains("archives of another database are delivered there"));
  CHECK(other.site.sql("SELECT error_kind FROM zipmodule.delivery_telemetry") == "target_refused");
  CHECK(listing(cms.second()) == before);
}

TEST_CASE("copies have the configured mode and their archive's time, at each target") {
  Publisher cms;
  cms.site.set("archives.mode", "0640");
  REQUIRE(cms.publish_and_run().exit_code == 0);
  struct stat archive {};
  REQUIRE(::stat(cms.site.link("s", "a").c_str(), &archive) == 0);
  for (const fs::path& place : {cms.second(), cms.mirror.path()}) {
    INFO(place.string());
    struct stat s {};
    REQUIRE(::stat((place / "public/s/a.zip").c_str(), &s) == 0);
    CHECK((s.st_mode & 07777U) == 0640);
    CHECK(s.st_mtim.tv_sec == archive.st_mtim.tv_sec);
    CHECK((fs::status(place / "builds").permissions() & fs::perms::mask) == static_cast<fs::perms>(0750));
  }
}

TEST_CASE("a target that comes later gets what was built before, and one that goes away is waited for by nobody") {
  Publisher cms;
  cms.deliver("{}");
  REQUIRE(cms.publish_and_run().exit_code == 0);
  cms.deliver("{second: " + cms.second().string() + "}");
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(cms.second());

  cms.server.stop();
  cms.deliver("{second: " + cms.second().string() + ", mirror: " + cms.mirror_place(", required: true") + "}");
  CHECK(cms.site.run().exit_code == 1);
  CHECK(cms.site.state("s", "a") == "delivering");
  cms.deliver("{second: " + cms.second().string() + "}");
  CHECK(cms.site.run().exit_code == 0);
  CHECK(cms.site.state("s", "a") == "done");
}

TEST_CASE("a newer build that comes while a target is away is the only one that goes there") {
  Publisher cms;
  cms.server.stop();
  CHECK(cms.publish_and_run().exit_code == 1);
  cms.change(2);
  cms.publish_and_run();
  CHECK(cms.state_at("mirror") == "retired,waiting");
  cms.server.start();
  cms.make_due();
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(cms.mirror.path());
  CHECK(Publisher::files_in(cms.mirror.path()) == 1);
}

TEST_CASE("a run that is killed while it delivers leaves nothing half there, and the next one ends it") {
  Publisher cms;
  write_file(cms.site.content("a.jpg"), random_bytes(60'000'000, 5), k_time);
  cms.site.set("archives.deliver", "{mirror: " + cms.mirror_place() + "}");
  cms.site.publish("s", "a", "a.jpg");
  for (int i = 0; i < 3; ++i) {
    Process run = cms.site.start({"run"});
    REQUIRE(wait_until([&] {
      for (const auto& entry : fs::recursive_directory_iterator(cms.mirror.path())) {
        if (entry.path().extension() == ".part" && entry.file_size() > 1'000'000) return true;
      }
      return !run.running();
    }));
    if (!run.running()) break;
    run.send(SIGKILL);
    run.wait();
    CHECK(cms.site.state("s", "a") == "done");  // here, it is
    CHECK_FALSE(fs::exists(cms.mirror / "public/s/a.zip"));
    for (const auto& entry : fs::recursive_directory_iterator(cms.mirror.path())) {
      CHECK(entry.path().extension() != ".zip");
    }
  }
  REQUIRE(cms.site.run().exit_code == 0);
  cms.check_there(cms.mirror.path());
  CHECK(Publisher::files_in(cms.mirror.path()) == 1);
}

TEST_CASE("a target that stands still holds up neither other targets nor building") {
  Publisher cms;
  write_file(cms.site.content("a.jpg"), random_bytes(60'000'000, 5), k_time);
  cms.site.publish("s", "a", "a.jpg");
  Process run = cms.site.start({"run"});
  REQUIRE(wait_until([&] { return !cms.server.sessions().empty(); }));
  cms.server.signal_sessions(SIGSTOP);
  write_file(cms.site.content("b.jpg"), random_bytes(1'000, 6), k_time);
  cms.site.publish("s", "b", "b.jpg");
  CHECK(wait_until(
      [&] { return cms.site.state("s", "b") == "done" && fs::is_symlink(cms.second() / "public/s/b.zip"); }));
  const Result result = run.wait();
  INFO(result.text());
  cms.server.signal_sessions(SIGCONT);
  cms.make_due();
  cms.site.run();
  cms.make_due();
  CHECK(cms.site.run().exit_code == 0);
  cms.check_there(cms.mirror.path());
  cms.check_there(cms.mirror.path(), "b");
}

TEST_CASE("an upload that takes longer than a run may does not keep others from being built") {
  Publisher cms;
  cms.site.set("run.max_runtime", "3s");
  cms.deliver("{mirror: " + cms.mirror_place("", "20s") + "}");
  write_file(cms.site.content("a.jpg"), random_bytes(60'000'000, 5), k_time);
  cms.site.publish("s", "a", "a.jpg");
  Process run = cms.site.start({"run"});
  REQUIRE(wait_until([&] { return !cms.server.sessions().empty(); }));
  cms.server.signal_sessions(SIGSTOP);
  CHECK(wait_until(
      [&] { return cms.site.sql("SELECT extract(epoch FROM now() - started_at) > 5 FROM zipmodule.run") == "t"; }));
  REQUIRE(run.running());
  write_file(cms.site.content("b.jpg"), random_bytes(1'000, 6), k_time);
  cms.site.publish("s", "b", "b.jpg");
  CHECK(wait_until([&] { return cms.site.state("s", "b") == "done"; }));
  CHECK(run.running());
  cms.server.signal_sessions(SIGCONT);
  CHECK(wait_until([&] { return !run.running(); }));
  CHECK(run.wait().exit_code == 0);
  CHECK(cms.state_at("mirror") == "delivered,pending");  // the next run's
  CHECK(cms.site.sql("SELECT outcome FROM zipmodule.run") == "timeout");
}

// Two hosts build the same archive one after the other, and the first one's delivery comes last.
TEST_CASE("a target ends with the newest build, whichever host comes last") {
  Publisher cms;
  REQUIRE(cms.publish_and_run().exit_code == 0);
  Site other(cms.site, "other");
  other.set("archives.deliver", "{second: " + cms.second().string() + "}");
  cms.deliver("{second: " + cms.second().string() + "}");
  cms.change(2);
  cms.site.publish("s", "a", "a.jpg");
  REQUIRE(other.run().exit_code == 0);
  const auto newest = fs::read_symlink(other.link("s", "a"));
  CHECK(fs::read_symlink(cms.second() / "public/s/a.zip") == newest);
  // As if the first host had switched the link after the second one.
  const auto old = fs::read_symlink(cms.site.link("s", "a"));
  fs::remove(cms.second() / "public/s/a.zip");
  fs::create_symlink(old, cms.second() / "public/s/a.zip");
  cms.age();
  REQUIRE(cms.site.run().exit_code == 0);  // removes its own, and sees that the link led there
  REQUIRE(other.run().exit_code == 0);
  CHECK(fs::read_symlink(cms.second() / "public/s/a.zip") == newest);
  CHECK(fs::exists(cms.second() / "public/s/a.zip"));
}

TEST_CASE("an archive whose job is removed is removed from its targets") {
  Publisher cms;
  REQUIRE(cms.publish_and_run().exit_code == 0);
  cms.site.sql("DELETE FROM zipmodule.job");
  cms.age();
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(Publisher::files_in(cms.mirror.path()) == 0);
  CHECK_FALSE(fs::is_symlink(cms.mirror / "public/s/a.zip"));
  CHECK(cms.site.sql("SELECT count(*) FROM zipmodule.delivery") == "0");
}

TEST_CASE("check writes to every target, and tells what is wrong with one") {
  Publisher cms;
  for (const char* target : {"target second", "target mirror"}) {
    const Json probe = cms.site.probe(target);
    CHECK(probe["level"] == "ok");
    CHECK_THAT(probe["detail"].get<std::string>(), Contains("can be written") && Contains("bytes free"));
  }
  CHECK(Publisher::files_in(cms.mirror.path()) == 0);
  fs::remove(cms.second());
  CHECK_THAT(cms.site.probe("target second")["detail"].get<std::string>(), Contains("there is no folder"));
  cms.server.stop();
  CHECK_THAT(cms.site.probe("target mirror")["detail"].get<std::string>(), Contains("target mirror: sftp://"));
}

TEST_CASE("explain and status tell where an archive is, and why it is not elsewhere") {
  Publisher cms;
  cms.deliver("{second: " + cms.second().string() + ", mirror: " + cms.mirror_place(", required: true") + "}");
  cms.server.stop();
  cms.publish_and_run();
  const Result explained = cms.site.call({"explain", "s", "a"});
  CHECK_THAT(explained.out, Contains("s/a is delivering") && Contains("It was delivered to target second") &&
                                Contains("still to be delivered to required target mirror") &&
                                Contains("target_unreachable") && Contains("is tried again in"));
  const Result status = cms.site.call({"status", "s", "a"});
  CHECK_THAT(status.out,
             Contains("delivering") && Contains("second: delivered") && Contains("mirror: waiting, required"));
  const Json job = Json::parse(cms.site.call({"explain", "s", "a", "--json"}).out);
  CHECK(job["deliveries"][0]["last_error_kind"] == "target_unreachable");
  CHECK(job["deliveries"][1]["state"] == "delivered");
}

TEST_CASE("a source may be written as the URL of what a root covers") {
  Publisher cms;
  const std::string url =
      "sftp://" + SshServer::host() + ":" + std::to_string(cms.line.port()) + cms.mirror.path().string();
  cms.site.set("content.roots", "{default: " + cms.site.content().string() + ", cms: " + cms.mirror_place() + "}");
  cms.deliver("{}");
  write_file(cms.mirror / "album/x.jpg", random_bytes(1'000, 6), k_time);
  cms.site.publish("s", "url", url + "/album/x.jpg");
  REQUIRE(cms.site.run().exit_code == 0);
  CHECK(cms.site.state("s", "url") == "done");

  for (const char* other : {"sftp://elsewhere.example/album/x.jpg", "s3://bucket/x.jpg"}) {
    cms.site.publish("s", "other", other);
    CHECK(cms.site.run().exit_code == 1);
    CHECK_THAT(cms.site.job("s", "other")["last_error"].get<std::string>(),
               Contains("no content root") && Contains("covers it"));
  }
  for (const auto& [source, rule] : {std::pair{url + "/../x", "must not contain '..'"},
                                     {std::string("sftp://u:secret@h/x"), "must not hold a password"},
                                     {std::string("s3://bucket"), "must be a URL such as"}}) {
    CHECK_THROWS_WITH(cms.site.publish("s", "bad", source), Contains(rule) && !Contains("secret@"));
  }
}

}  // namespace
}  // namespace zipmodule::test
