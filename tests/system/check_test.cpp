// `check`: says what a run would find, and leaves nothing that a run by another user would trip over.
#include <unistd.h>

#include <csignal>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

std::string detail_of(const Site& site, const std::string& name) { return site.probe(name)["detail"]; }

struct BuiltSite : Site {
  BuiltSite() {
    write_file(content("a.txt"), "a");
    publish("series", "a", "a.txt");
    REQUIRE(run().exit_code == 0);
  }
};

TEST_CASE("a check before the first run creates nothing, and says what the run will create") {
  Site site;
  site.set("archives.root", "\"" + site.scratch("later/store").string() + "\"");
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("the first run creates: " + site.scratch("later/store").string()) != std::string::npos);
  CHECK(result.out.find("run.lock is free; the first run creates it") != std::string::npos);
  CHECK_FALSE(fs::exists(site.scratch("later")));
  CHECK_FALSE(fs::exists(site.lock_file()));
  CHECK(site.run().exit_code == 0);
}

TEST_CASE("a check leaves store and lock as they were, and needs no right to create in a store that has begun") {
  const BuiltSite site;
  const auto before = listing(site.store());
  const auto note = read_file(site.lock_file());
  fs::permissions(site.store(), static_cast<fs::perms>(0555));
  const Result result = site.call_without_root_rights({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(listing(site.store()) == before);
  CHECK(read_file(site.lock_file()) == note);
  fs::permissions(site.store(), static_cast<fs::perms>(0755));
}

TEST_CASE("a check finds the one folder that another user's run has made") {
  const BuiltSite site;
  const std::string folder = GENERATE("builds", "public/series");
  const fs::path foreign =
      folder == "builds" ? fs::canonical(site.link("series", "a")).parent_path() : site.store(folder);
  fs::permissions(foreign, static_cast<fs::perms>(0555));
  const Result result = site.call_without_root_rights({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 73);
  CHECK(result.out.find(foreign.filename().string()) != std::string::npos);
  fs::permissions(foreign, static_cast<fs::perms>(0755));
}

TEST_CASE("a check as root of a store that belongs to another user says that it proves little") {
  const BuiltSite site;
  if (::geteuid() != 0 || ::chown(site.store().c_str(), 65'534, 65'534) != 0) {
    WARN("not tested: giving a folder away needs root");
    return;
  }
  CHECK(site.probe("store")["level"] == "warning");
  CHECK(site.call({"check"}).out.find("sudo -u '#65534' zipmodule check") != std::string::npos);
  CHECK(site.call({"check"}).exit_code == 0);
}

TEST_CASE("a check compares every link with the build that the database has") {
  const BuiltSite site;
  CHECK(detail_of(site, "links") == "1 links lead to their builds");
  const fs::path right = fs::read_symlink(site.link("series", "a"));
  fs::remove(site.link("series", "a"));
  CHECK(detail_of(site, "links").find("series/a: its link is gone") != std::string::npos);
  fs::create_symlink("../../builds/00/elsewhere.zip", site.link("series", "a"));
  CHECK(detail_of(site, "links").find("series/a: its link leads to builds/00/elsewhere.zip") != std::string::npos);
  CHECK(site.call({"check"}).exit_code == 1);

  // A run that has committed and is about to link.
  site.sql("UPDATE zipmodule.job SET pending = true, linked_revision = 0");
  CHECK(site.call({"check"}).exit_code == 0);
  REQUIRE(site.run().exit_code == 0);
  CHECK(fs::read_symlink(site.link("series", "a")) == right);
}

TEST_CASE("a check of a store whose disk is not mounted calls no archive damaged") {
  const BuiltSite site;
  fs::rename(site.store(), site.scratch("elsewhere"));
  fs::create_directories(site.store());
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 73);
  CHECK(result.out.find(".zipmodule.store") != std::string::npos);
  CHECK(result.out.find("damaged") == std::string::npos);
  CHECK(listing(site.store()).empty());
}

TEST_CASE("a check while a run is at work names the run, and does not keep it from its work") {
  Site site;
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("is held by a run: pid " + std::to_string(run.pid())) != std::string::npos);
  run.send(SIGCONT);
  CHECK(run.wait().exit_code == 0);
  CHECK(site.state("series", "a") == "done");
}

TEST_CASE("a check tries to write beside run.metrics_file, and leaves nothing there") {
  Site site;
  const fs::path folder = site.scratch("metrics");
  site.set("run.metrics_file", "\"" + (folder / "zipmodule.prom").string() + "\"");
  const Result missing = site.call({"check"});
  INFO(missing.text());
  CHECK(missing.exit_code == 78);
  CHECK(missing.out.find("FAIL  metrics: ") != std::string::npos);
  fs::create_directories(folder);
  CHECK(site.probe("metrics")["level"] == "ok");
  CHECK(listing(folder).empty());
  fs::permissions(folder, static_cast<fs::perms>(0555));
  CHECK(site.call_without_root_rights({"check"}).exit_code == 78);
  fs::permissions(folder, static_cast<fs::perms>(0755));
  fs::create_directories(folder / "zipmodule.prom");
  CHECK(site.probe("metrics")["level"] == "problem");
}

TEST_CASE("a check warns of a metrics file that the node exporter ignores") {
  Site site;
  site.set("run.metrics_file", "\"" + site.scratch("zipmodule.txt").string() + "\"");
  CHECK(site.probe("metrics")["level"] == "warning");
  CHECK(site.probe("metrics")["hint"].get<std::string>().find(".prom") != std::string::npos);
  CHECK(site.call({"check"}).exit_code == 0);
}

TEST_CASE("a check reads run.ping_url as a ping would, calls nobody, and shows no path") {
  Site site;
  site.set("run.ping_url", "http://127.0.0.1:9/secret");  // where nobody listens
  CHECK(site.probe("ping")["level"] == "ok");
  site.set("run.ping_url", "http://host:port/secret");
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 78);
  CHECK(result.out.find("FAIL  ping: run.ping_url is no address") != std::string::npos);
  CHECK(result.text().find("secret") == std::string::npos);
}

TEST_CASE("a check says nothing of metrics and pings that are not configured") {
  const std::string out = Site().call({"check"}).out;
  CHECK(out.find("metrics") == std::string::npos);
  CHECK(out.find("ping") == std::string::npos);
}

TEST_CASE("check and explain tell of a job for a store that no host has") {
  Site site;
  write_file(site.content("a.txt"), "a");
  CHECK(site.probe("stores")["level"] == "ok");
  site.publish("series", "a", "a.txt", "store => 'north'");
  REQUIRE(site.run().exit_code == 0);
  CHECK(site.state("series", "a") == "pending");
  CHECK(site.probe("stores")["level"] == "warning");
  CHECK(detail_of(site, "stores").find("'north' (1 job)") != std::string::npos);
  CHECK(site.call({"check"}).exit_code == 0);
  const std::string told = site.call({"explain", "series", "a"}).out;
  INFO(told);
  CHECK(told.find("the store 'north'") != std::string::npos);

  Site north(site, "north.test");
  north.set("archives.store", "north");
  REQUIRE(north.run().exit_code == 0);
  CHECK(site.state("series", "a") == "done");
  site.publish("series", "a", "a.txt", "store => 'north'");
  CHECK(site.probe("stores")["level"] == "ok");
  CHECK(site.call({"explain", "series", "a"}).out.find("no host") == std::string::npos);
}

}  // namespace
}  // namespace zipmodule::test
