// Which store this is and which database it belongs to: another one, an older one and a copy are refused, and nothing good is lost.
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

void build(const Site& site, const std::string& archive, const std::string& text) {
  write_file(site.content(archive + ".txt"), text);
  site.publish("series", archive, archive + ".txt");
  const Result result = site.run();
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
}

std::string public_bytes(const Site& site, const std::string& archive) {
  return read_file(site.link("series", archive));
}

void refused(const Site& site, int exit_code, const std::string& text) {
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.exit_code == exit_code);
  CHECK_THAT(result.err, Contains(text));
}

void succeeds(const Site& site, const std::vector<std::string>& arguments) {
  const Result result = site.call(arguments);
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
}

// The database as it was: what a person restores.
class Dump {
 public:
  explicit Dump(const Site& site) : site_(site), file_(site.scratch("dump.sql")) {
    const auto& server = site.database().server();
    tool({"pg_dump", "-h", server.host, "-U", server.user, "-n", "zipmodule", "-f", file_.string(),
          site.database().name()});
  }
  void restore() const {
    const auto& server = site_.database().server();
    site_.sql("DROP SCHEMA zipmodule CASCADE");
    tool({"psql", "-h", server.host, "-U", server.user, "-q", "-v", "ON_ERROR_STOP=1", "-d", site_.database().name(),
          "-f", file_.string()});
  }

 private:
  static void tool(std::vector<std::string> argv) {
    Command command;
    command.argv = std::move(argv);
    const Result result = run(command);
    INFO(result.text());
    REQUIRE(result.exit_code == 0);
  }
  const Site& site_;
  const fs::path file_;
};

TEST_CASE("a run with another database is refused, and the store's builds stay") {
  const Site site;
  build(site, "a", "a");
  Site other;
  other.set("archives.root", site.store().string());
  other.set("archives.grace", "0s");
  const auto before = site.builds();
  refused(other, 78, "belongs to another database");
  CHECK(site.builds() == before);
  CHECK(other.probe("identity")["level"] == "problem");
  CHECK(other.call({"store"}).exit_code == 78);
  CHECK(site.run().quiet());
  CHECK(site.probe("identity")["level"] == "ok");
}

TEST_CASE("an adopted store belongs to its new database, and what was public there stays public") {
  const Site site;
  build(site, "a", "a");
  const std::string bytes = public_bytes(site, "a");
  Site other;
  other.set("archives.root", site.store().string());
  other.set("archives.grace", "0s");
  succeeds(other, {"store", "adopt"});
  CHECK(other.run().quiet());
  CHECK(public_bytes(site, "a") == bytes);
  CHECK_THAT(other.probe("unknown")["detail"].get<std::string>(), Contains("series/a"));
  refused(site, 78, "belongs to another database");
}

TEST_CASE("a copy of a store is refused until it is renewed, and the original goes on") {
  Site first;
  build(first, "a", "a");
  Site copy(first, first.scratch("").parent_path().filename().string());
  fs::remove_all(copy.store());
  fs::copy(first.store(), copy.store(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  REQUIRE(first.run().exit_code == 0);
  refused(copy, 78, "is behind the database");
  succeeds(copy, {"store", "renew"});
  CHECK(copy.run().quiet());
  CHECK(first.run().quiet());
  CHECK(copy.run().quiet());
  CHECK(first.telemetry("series", "a").size() == 1);  // nothing was taken for damaged
}

TEST_CASE("another disk at the same host and path is refused, and may become a store of its own") {
  const Site site;
  build(site, "a", "a");
  fs::rename(site.store(), site.scratch("first disk"));
  fs::create_directory(site.store());
  refused(site, 73, ".zipmodule.store");
  CHECK(listing(site.store()).empty());
  succeeds(site, {"store", "renew"});
  CHECK(site.run().quiet());
  fs::rename(site.store(), site.scratch("second disk"));
  fs::rename(site.scratch("first disk"), site.store());
  CHECK(site.run().quiet());
  CHECK(site.telemetry("series", "a").size() == 1);
}

TEST_CASE("a new disk that takes the lost store's place gets its archives built again") {
  const Site site;
  build(site, "a", "a");
  fs::remove_all(site.store());
  refused(site, 73, ".zipmodule.store");
  succeeds(site, {"store", "adopt"});
  site.run();
  CHECK(site.state("series", "a") == "done");
  CHECK_FALSE(public_bytes(site, "a").empty());
}

TEST_CASE("a store goes on under a new host name and at a new path") {
  Site site;
  site.set("archives.grace", "0s");
  build(site, "a", "a");
  site.set("run.host", "renamed");
  const fs::path moved = site.scratch("moved");
  fs::rename(site.store(), moved);
  site.set("archives.root", moved.string());
  const auto builds = [&] {
    std::size_t count = 0;
    for (const auto& found : fs::recursive_directory_iterator(moved / "builds"))
      count += found.path().extension() == ".zip" ? 1U : 0U;
    return count;
  };
  write_file(site.content("a.txt"), "longer");
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  REQUIRE(site.run().exit_code == 0);
  CHECK(builds() == 1);  // the replaced one was collected
  fs::remove(fs::canonical(moved / "public/series/a.zip"));
  site.run();
  CHECK(site.state("series", "a") == "done");
  CHECK(builds() == 1);  // and the damage was found
}

TEST_CASE("after a restored dump runs are refused, and an adoption loses nothing that was built since") {
  Site site;
  site.set("archives.grace", "0s");
  build(site, "a", "first");
  const Dump dump(site);
  build(site, "a", "second, and longer");
  build(site, "b", "b");
  const std::string a = public_bytes(site, "a");
  const std::string b = public_bytes(site, "b");
  dump.restore();
  refused(site, 78, "the database is behind the store");
  CHECK(site.probe("identity")["level"] == "problem");
  CHECK(public_bytes(site, "a") == a);

  succeeds(site, {"store", "adopt"});
  for (int i = 0; i < 3; ++i) CHECK(site.run().exit_code == 0);
  CHECK(public_bytes(site, "a") == a);
  CHECK(public_bytes(site, "b") == b);
  CHECK(site.state("series", "a") == "done");
  CHECK(site.job("series", "a")["built_revision"].get<int>() > 2);
  CHECK_THAT(site.probe("unknown")["detail"].get<std::string>(), Contains("series/b"));

  build(site, "b", "published again");
  CHECK(public_bytes(site, "b") != b);
}

TEST_CASE("a pending job of a restored dump does not replace the newer archive") {
  Site site;
  build(site, "a", "first");
  write_file(site.content("a.txt"), "second");
  site.publish("series", "a", "a.txt");
  const Dump dump(site);
  write_file(site.content("b.txt"), "what was wanted last");
  site.publish("series", "a", "b.txt");
  REQUIRE(site.run().exit_code == 0);
  const std::string newest = public_bytes(site, "a");
  dump.restore();
  succeeds(site, {"store", "adopt"});
  CHECK(site.run().exit_code == 0);
  CHECK(public_bytes(site, "a") == newest);
}

TEST_CASE("a database that lacks only runs that built nothing goes on") {
  const Site site;
  build(site, "a", "a");
  const Dump dump(site);
  for (int i = 0; i < 3; ++i) REQUIRE(site.run().quiet());
  dump.restore();
  CHECK(site.run().quiet());
}

TEST_CASE("a run that was killed between its marker and its row changes nothing for the next") {
  const Site site;
  build(site, "a", "a");
  const std::string before = read_file(site.store(".zipmodule.store"));
  const auto next = before.find("next ");
  std::string after = before;
  after.replace(next + 5, 32, std::string(32, '0'));
  write_file(site.store(".zipmodule.store"), after);
  CHECK(site.run().quiet());
  // And between its row and its last token: the next one is the newest that the database knows.
  std::string half = read_file(site.store(".zipmodule.store"));
  half.replace(half.find("last ") + 5, 32, std::string(32, '1'));
  write_file(site.store(".zipmodule.store"), half);
  CHECK(site.run().quiet());
}

TEST_CASE("an empty marker of an older zipmodule is taken over") {
  const Site site;
  fs::create_directories(site.store());
  write_file(site.store(".zipmodule.store"), "");
  build(site, "a", "a");
  CHECK_FALSE(read_file(site.store(".zipmodule.store")).empty());
  SECTION("also where the database knows its builds") {
    write_file(site.store(".zipmodule.store"), "");
    CHECK(site.run().quiet());
    CHECK(site.telemetry("series", "a").size() == 1);
  }
  SECTION("but not where it knows others") {
    write_file(site.store(".zipmodule.store"), "");
    fs::remove(fs::canonical(site.link("series", "a")));
    refused(site, 78, "another database");
  }
}

TEST_CASE("a marker that can't be understood is refused") {
  const Site site;
  build(site, "a", "a");
  write_file(site.store(".zipmodule.store"), "zipmodule store 2\n");
  refused(site, 78, "can't be understood");
}

TEST_CASE("a sweep removes ten builds at most, warns of each, and none that is public or young") {
  Site site;
  site.set("archives.grace", "1h");
  build(site, "a", "a");
  const auto plant = [&](char digit, bool old) {
    for (int i = 0; i < 12; ++i) {
      const std::string id = std::string(30, digit) + (i < 10 ? "0" : "1") + std::to_string(i % 10);
      const fs::path file = site.store("builds") / id.substr(0, 2) / (id + ".zip");
      write_file(file, "unknown");
      if (old) set_mtime(file, 1'600'000'000);
    }
  };
  plant('a', true);
  plant('b', false);
  fs::create_symlink("../../builds/aa/" + std::string(30, 'a') + "00.zip", site.store("public/series/unknown.zip"));
  site.sql("UPDATE zipmodule.run SET finished_at = NULL");  // as if it had been killed
  const Result swept = site.run();
  INFO(swept.text());
  CHECK(site.builds().size() == 1 + 12 + 2);
  CHECK_THAT(swept.err, Contains("which the database does not know"));
  CHECK(fs::exists(site.link("series", "unknown")));
  succeeds(site, {"store", "sweep"});
  CHECK(site.builds().size() == 1 + 12 + 1);
}

TEST_CASE("a run as root in another user's store is refused before anything is made") {
  if (::geteuid() != 0) {
    WARN("not tested: needs root");
    return;
  }
  const Site site;
  fs::create_directories(site.store());
  REQUIRE(::chown(site.store().c_str(), 12'345, 12'345) == 0);
  refused(site, 73, "belongs to user 12345");
  CHECK(listing(site.store()).empty());
  CHECK_FALSE(fs::exists(site.lock_file()));
}

TEST_CASE("nobody else can hold the locks, and check names who holds one too long") {
  Site site;
  site.set("run.max_runtime", "1s");
  build(site, "a", "a");
  for (const fs::path& lock : {site.lock_file(), site.store(".zipmodule.lock")})
    CHECK((fs::status(lock).permissions() & fs::perms::mask) == static_cast<fs::perms>(0600));
  Command holder;
  holder.argv = {"flock", "-x", site.lock_file().string(), "sleep", "1000"};
  Process process(holder);
  REQUIRE(
      wait_until([&] { return site.probe("lock")["detail"].get<std::string>().find("is held") != std::string::npos; }));
  set_mtime(site.lock_file(), 1'600'000'000);
  const Json probe = site.probe("lock");
  INFO(probe.dump());
  CHECK(probe["level"] == "warning");
  CHECK_THAT(probe["detail"].get<std::string>(), Contains("flock"));
}

TEST_CASE("two builds of one archive never share size and second, and equal bytes keep the file and its time") {
  const Site site;
  build(site, "a", "first");
  std::set<std::string> validators;
  const auto validator = [&] {
    struct stat s {};
    REQUIRE(::stat(site.link("series", "a").c_str(), &s) == 0);
    return std::to_string(s.st_mtim.tv_sec) + "-" + std::to_string(s.st_size);
  };
  validators.insert(validator());
  for (const char* text : {"other", "third", "fifth"}) {
    build(site, "a", text);
    CHECK(validators.insert(validator()).second);
  }
  const fs::path file = fs::canonical(site.link("series", "a"));
  write_file(site.content("a.txt"), "fifth", 1'600'000'001);
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  const std::string now = validator();
  const fs::path rebuilt = fs::canonical(site.link("series", "a"));
  // Written anew with the same time: the same bytes.
  write_file(site.content("a.txt"), "fifth", 1'600'000'001);
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  CHECK(validator() == now);
  CHECK(fs::canonical(site.link("series", "a")) == rebuilt);
}

TEST_CASE("archives have the configured mode and group") {
  Site site;
  site.set("archives.mode", "0640");
  build(site, "a", "a");
  const fs::path file = fs::canonical(site.link("series", "a"));
  CHECK((fs::status(file).permissions() & fs::perms::mask) == static_cast<fs::perms>(0640));
  CHECK((fs::status(site.store("builds")).permissions() & fs::perms::mask) == static_cast<fs::perms>(0750));
  site.set("archives.group", "no-such-group");
  refused(site, 78, "no-such-group");
}

}  // namespace
}  // namespace zipmodule::test
