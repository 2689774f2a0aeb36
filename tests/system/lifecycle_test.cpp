// Runs that are stopped, killed, overtaken by a publish or cut off from the database.
#include <csignal>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

void expect_good(const Site& site, const std::string& series, const std::string& archive) {
  const Json job = site.job(series, archive);
  INFO(job.dump());
  CHECK(job["state"] == "done");
  const Verdict verdict = judge(site.link(series, archive), {});
  INFO(verdict.text());
  CHECK(verdict.good());
  CHECK(site.unfinished().empty());
}

TEST_CASE("SIGTERM during a build gives the lease back, leaves no temporary file and counts no attempt") {
  for (const int signal : {SIGTERM, SIGINT}) {
    Site site;
    site.add_slow_content("slow.txt");
    site.publish("series", "a", "slow.txt");
    Process run = site.run_until_building();
    CHECK(site.state("series", "a") == "running");
    run.send(signal);
    run.send(SIGCONT);
    const Result result = run.wait();
    INFO(result.text());
    CHECK(result.exit_code == 0);
    const Json job = site.job("series", "a");
    INFO(job.dump());
    CHECK(job["state"] == "pending");
    CHECK(job["attempts"] == 0);
    CHECK(site.unfinished().empty());
    CHECK(site.builds().empty());
    const auto telemetry = site.telemetry("series", "a");
    REQUIRE(telemetry.size() == 1);
    CHECK(telemetry[0]["outcome"] == "retry");
    CHECK(telemetry[0]["error_kind"] == "stopped");
    CHECK(site.sql("SELECT outcome FROM zipmodule.run ORDER BY run_id DESC LIMIT 1") == "stopped");

    CHECK(site.run().exit_code == 0);
    expect_good(site, "series", "a");
  }
}

TEST_CASE("a run killed in the middle of a build is made good by the next, at once") {
  Site site;
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  {
    Process run = site.run_until_building();
    run.send(SIGKILL);
    CHECK(run.wait().signal == SIGKILL);
  }
  const Result next = site.run();
  INFO(next.text());
  CHECK(next.exit_code == 0);
  expect_good(site, "series", "a");
  const auto telemetry = site.telemetry("series", "a");
  REQUIRE(telemetry.size() == 2);
  CHECK(telemetry[0]["outcome"] == "lost");
  CHECK(telemetry[1]["outcome"] == "done");
  CHECK(site.job("series", "a")["attempts"] == 0);
}

TEST_CASE("a publish during a build is not lost: the archive ends with the new content") {
  Site site;
  site.add_slow_content("slow.txt");
  write_file(site.content("new.txt"), "new content");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  CHECK(site.publish("series", "a", "new.txt") == 2);
  run.send(SIGCONT);
  const Result result = run.wait();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(site.run().exit_code == 0);
  expect_good(site, "series", "a");
  CHECK(site.job("series", "a")["built_revision"] == 2);
  CHECK(test::run({"unzip", "-p", site.link("series", "a").string()}).out == "new content");
}

TEST_CASE("a job cancelled during its build is not linked") {
  Site site;
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  CHECK(site.sql("SELECT zipmodule.cancel('series', 'a')") == "t");
  run.send(SIGCONT);
  const Result result = run.wait();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(site.state("series", "a") == "cancelled");
  CHECK_FALSE(fs::exists(fs::symlink_status(site.link("series", "a"))));
  site.run();
  CHECK(site.unfinished().empty());
}

TEST_CASE("connections cut during a build lose nothing") {
  Site site;
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  site.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
      "pg_backend_pid()");
  run.send(SIGCONT);
  const Result result = run.wait();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  expect_good(site, "series", "a");
  CHECK(site.telemetry("series", "a").size() == 1);
}

// A server of this test alone, because it is restarted.
class OwnServer {
 public:
  OwnServer() {
    const Result started = control("start");
    if (started.exit_code != 0) throw std::runtime_error("start a server: " + started.text());
    server_ = {started.out.substr(0, started.out.find('\n')), "postgres"};
  }
  ~OwnServer() { control("stop"); }
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

  const Server& server() const noexcept { return server_; }
  Result control(const std::string& verb) const {
    return run({source_path("scripts/test-postgres"), verb, (dir_ / "pg").string()});
  }

 private:
  TempDir dir_{"server"};
  Server server_;
};

TEST_CASE("a database that is restarted in the middle of a run loses nothing") {
  const OwnServer own;
  Site site(own.server());
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  REQUIRE(own.control("restart").exit_code == 0);
  run.send(SIGCONT);
  const Result result = run.wait();
  INFO(result.text());
  CHECK((result.exit_code == 0 || result.exit_code == 69));
  CHECK(site.run().exit_code == 0);
  expect_good(site, "series", "a");
}

TEST_CASE("max_runtime ends a run that has more to do, and the next goes on") {
  Site site;
  site.add_slow_content("slow.txt");
  site.set("run.max_runtime", "1s");
  site.set("run.workers", "1");
  for (int i = 0; i < 4; ++i) site.publish("series", "a" + std::to_string(i), "slow.txt");
  const auto all_done = [&] {
    return site.sql("SELECT count(*) FROM zipmodule.job_status WHERE state = 'done'") == "4";
  };
  CHECK(site.run().exit_code == 0);
  CHECK_FALSE(all_done());
  CHECK(site.unfinished().empty());
  site.set("run.max_runtime", "5m");
  CHECK(site.run().exit_code == 0);
  CHECK(all_done());
}

}  // namespace
}  // namespace zipmodule::test
