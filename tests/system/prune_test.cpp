// Keeping tables and store small: the verb, and the end of a run.
#include "base/file_lock.hpp"
#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_old_rows =
    "INSERT INTO zipmodule.telemetry (job_id, series, archive, revision, outcome, finished_at) "
    "SELECT 1, 's', 'a', 1, 'done', statement_timestamp() - interval '500 days' FROM generate_series(1, 2500); "
    "INSERT INTO zipmodule.run (host, instance, token, pid, version, started_at, finished_at, outcome) "
    "SELECT 'h', 'h:/s', 't', 1, 'x', statement_timestamp() - interval '100 days', "
    "statement_timestamp() - interval '100 days', 'done' FROM generate_series(1, 1201)";

// One archive, built twice: its first build is retired.
struct RebuiltSite : Site {
  RebuiltSite() {
    for (const auto* text : {"a", "bb"}) {
      write_file(content("a.txt"), text);
      publish("series", "a", "a.txt");
      REQUIRE(run().exit_code == 0);
    }
    REQUIRE(builds().size() == 2);
  }
  std::string count(const std::string& table) const { return sql("SELECT count(*) FROM zipmodule." + table); }
};

TEST_CASE("prune removes old telemetry, old runs and replaced builds, and says how many") {
  RebuiltSite site;
  site.sql(k_old_rows);
  site.set("archives.grace", "0s");
  const Result result = site.call({"prune", "--json"});
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
  CHECK(Json::parse(result.out) == Json{{"telemetry", 2500}, {"runs", 1200}, {"builds", 1}});
  CHECK(site.count("telemetry") == "2");
  CHECK(site.count("run") == "3");
  CHECK(site.builds().size() == 1);
  CHECK(site.count("build") == "1");
  CHECK(fs::exists(site.link("series", "a")));

  const Result again = site.call({"prune"});
  CHECK(again.exit_code == 0);
  CHECK(again.out == "removed 0 rows of telemetry, 0 runs, 0 replaced builds\n");
}

TEST_CASE("prune keeps what the configuration says to keep") {
  RebuiltSite site;
  site.sql(k_old_rows);
  site.set("keep.telemetry", "501d");
  site.set("keep.runs", "101d");
  const Result result = site.call({"prune"});
  INFO(result.text());
  CHECK(result.out == "removed 0 rows of telemetry, 0 runs, 0 replaced builds\n");
  CHECK(site.count("telemetry") == "2502");
  CHECK(site.builds().size() == 2);
}

TEST_CASE("prune beside a run prunes tables, and leaves builds to the run") {
  RebuiltSite site;
  site.sql(k_old_rows);
  site.set("archives.grace", "0s");
  const auto lock = FileLock::try_acquire(site.store(".zipmodule.lock"));
  REQUIRE(lock);
  const Result result = site.call({"prune"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("removed 2500 rows of telemetry, 1200 runs; replaced builds were left alone") == 0);
  CHECK(site.builds().size() == 2);
}

TEST_CASE("prune of tables alone needs no store and no more than an operator's rights") {
  RebuiltSite site;
  site.sql(k_old_rows);
  const std::string login = site.database().name() + "_ops";
  site.sql("CREATE ROLE " + login + " LOGIN IN ROLE zipmodule_operator");
  site.set("database.dsn",
           "\"host='" + site.database().server().host + "' user=" + login + " dbname=" + site.database().name() + "\"");
  site.set("archives.root", "\"" + site.scratch("nowhere").string() + "\"");
  const Result result = site.call({"prune", "--tables"});
  site.sql("DROP ROLE " + login);
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(site.count("telemetry") == "2");
  CHECK_FALSE(fs::exists(site.scratch("nowhere")));
}

TEST_CASE("prune of a store whose disk is not mounted forgets no build") {
  RebuiltSite site;
  site.set("archives.grace", "0s");
  fs::rename(site.store(), site.scratch("elsewhere"));
  fs::create_directories(site.store());
  const Result result = site.call({"prune"});
  INFO(result.text());
  CHECK(result.exit_code == 73);
  CHECK(site.count("build") == "2");
}

TEST_CASE("prune of a store that no run has begun makes nothing in it") {
  const Site site;
  const Result result = site.call({"prune"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(listing(site.store()).empty());
}

TEST_CASE("the end of a run prunes, and then not for an hour, on any host") {
  RebuiltSite site;  // its first run has pruned
  Site second(site, "second.test");
  site.sql(k_old_rows);
  CHECK(site.run().quiet());
  CHECK(second.run().quiet());
  CHECK(site.sql("SELECT count(*) FROM zipmodule.telemetry WHERE finished_at < now() - interval '400 days'") == "2500");
  site.sql("UPDATE zipmodule.upkeep SET pruned_at = pruned_at - interval '1 hour'");
  CHECK(second.run().quiet());
  CHECK(site.sql("SELECT count(*) FROM zipmodule.telemetry WHERE finished_at < now() - interval '400 days'") == "0");
  CHECK(site.sql("SELECT count(*) FROM zipmodule.run WHERE instance = 'h:/s'") == "1");
}

TEST_CASE("a run that can't prune has built its archives, and says what it could not") {
  Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  site.sql("ALTER TABLE zipmodule.upkeep RENAME TO elsewhere");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(run.err.find("tables could not be pruned") != std::string::npos);
  CHECK(site.state("series", "a") == "done");
  CHECK(site.sql("SELECT outcome FROM zipmodule.run") == "done");
}

}  // namespace
}  // namespace zipmodule::test
