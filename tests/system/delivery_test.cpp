// Archives delivered to other places: the real binary, a second folder, a real sshd.
#include <sys/stat.h>

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

// Archives are delivered to 'second', a folder of this host, and to 'mirror', a host with sshd.
struct Publisher {
  Publisher() {
    fs::create_directory(second());
    write_file(server.known_hosts(), server.host_key_line(line.port()));
    deliver("{second: " + second().string() + ", mirror: " + mirror_place() + "}");
    write_file(site.content("a.jpg"), random_bytes(300'000), k_time);
  }
  fs::path second() const { return site.scratch("second"); }
  std::string mirror_place(const std::string& more = {}) const {
    return "{url: 'sftp://" + server.user() + "@" + SshServer::host() + ":" + std::to_string(line.port()) +
           mirror.path().string() + "', key: " + server.key().string() +
           ", known_hosts: " + server.known_hosts().string() + ", timeout: 3s" + more + "}";
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
  static std::size_t files_in(const fs::path& place) {
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(place))
      files += entry.is_regular_file() && !entry.is_symlink() ? 1 : 0;
    return files;
  }
  Json deliveries(const std::string& columns = "target, state, required, attempts, last_error_kind") const {
    return Json::parse(site.sql("SELECT coalesce(json_agg(d ORDER BY created_at, target), '[]') FROM (SELECT " +
                                columns + ", created_at, target FROM zipmodule.delivery_status) AS d"));
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

}  // namespace
}  // namespace zipmodule::test
