// `check --nagios` and the warnings of `check` about the database, with the real binary.
#include <algorithm>
#include <optional>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

Result nagios(const Site& site, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"check", "--nagios"});
  Result result = site.call(more);
  INFO(result.text());
  CHECK(std::count(result.out.begin(), result.out.end(), '\n') == 1);
  CHECK(result.err.empty());
  return result;
}

// A session that holds a transaction open until it is gone.
class OpenTransaction {
 public:
  OpenTransaction(const Site& site, const std::string& application) : site_(site) {
    const Server& server = site.database().server();
    Command command;
    command.argv = {"psql", "-XqAt",
                    "-h",   server.host,
                    "-U",   server.user,
                    "-d",   site.database().name(),
                    "-c",   "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_sleep(300)"};
    command.environment["PGAPPNAME"] = application;
    process_.emplace(command);
    sessions_ =
        "FROM pg_stat_activity WHERE application_name = " + quoted(application) + " AND datname = current_database()";
    if (!wait_until([&] { return site.sql("SELECT count(backend_xmin) " + sessions_) == "1"; }))
      throw std::runtime_error("no open transaction: " + process_->err());
  }
  // The server would not notice that its client is gone before the sleep is over.
  void end() {
    site_.sql("SELECT pg_terminate_backend(pid) " + sessions_);
    process_->wait();
  }

 private:
  const Site& site_;
  std::string sessions_;
  std::optional<Process> process_;
};

}  // namespace

TEST_CASE("check --nagios is OK with exit code 0 where all is well, and CRITICAL before any run") {
  const Site site;
  const Result before = nagios(site);
  CHECK(before.exit_code == 2);
  CHECK(before.out.find("CRITICAL - no run has ended well yet |") == 0);
  REQUIRE(site.run().exit_code == 0);
  const Result after = nagios(site);
  CHECK(after.exit_code == 0);
  CHECK(after.out.find("OK - no job is due, 0 failed, the last good run ended ") == 0);
}

TEST_CASE("check --nagios warns of a late job and of failed ones, by the limits given") {
  Site site;
  REQUIRE(site.run().exit_code == 0);
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  CHECK(nagios(site).exit_code == 0);
  site.sql("UPDATE zipmodule.job SET due_at = statement_timestamp() - interval '15 minutes'");
  const Result late = nagios(site);
  CHECK(late.exit_code == 1);
  CHECK(late.out.find("WARNING - 1 job due, the oldest for 15m") == 0);
  CHECK(nagios(site, {"--crit-age", "14m"}).exit_code == 2);
  CHECK(nagios(site, {"--warn-age", "16m"}).exit_code == 0);

  site.set("run.max_attempts", "1");
  site.publish("series", "b", "missing.txt");
  REQUIRE(site.run().exit_code == 1);
  CHECK(site.state("series", "b") == "failed");
  CHECK(nagios(site).out.find("WARNING - 1 failed |") == 0);
  CHECK(nagios(site, {"--warn-failed", "1", "--crit-failed", "2"}).exit_code == 0);
  CHECK(nagios(site, {"--crit-failed", "0"}).exit_code == 2);
}

TEST_CASE("check --nagios can look at one host's runs") {
  const Site site;
  REQUIRE(site.run().exit_code == 0);
  CHECK(nagios(site, {"--host", "first.test"}).exit_code == 0);
  const Result unknown = nagios(site, {"--host", "second.test"});
  CHECK(unknown.exit_code == 3);
  CHECK(unknown.out.find("UNKNOWN - no run of a host 'second.test' is known") == 0);
  CHECK(site.call({"check", "--nagios", "--host", ""}).exit_code == 64);
}

TEST_CASE("check --nagios tells a database that is away as CRITICAL, and what it can't judge as UNKNOWN") {
  Site site;
  const Result range = nagios(site, {"--warn-age", "soon"});
  CHECK(range.exit_code == 3);
  CHECK(range.out.find("UNKNOWN - --warn-age: 'soon' is no range") == 0);
  const Result swapped = nagios(site, {"--warn-age", "1h", "--crit-age", "30m"});
  CHECK(swapped.exit_code == 3);
  CHECK(swapped.out.find("UNKNOWN - --warn-age") == 0);
  site.set("database.dsn", "\"host=" + site.scratch("no-server").string() + "\"");
  const Result away = nagios(site);
  CHECK(away.exit_code == 2);
  CHECK(away.out.find("CRITICAL - ") == 0);
  CHECK(away.out.find("\\u{") == std::string::npos);
  site.write_config_text("database: [");
  CHECK(nagios(site).exit_code == 3);
  CHECK(nagios(Site(Site::Schema::none)).exit_code == 3);
}

TEST_CASE("limits without --nagios, and --nagios with --deep or --json, are a wrong command line") {
  const Site site;
  CHECK(site.call({"check", "--warn-age", "5m"}).exit_code == 64);
  CHECK(site.call({"check", "--nagios", "--deep"}).exit_code == 64);
  CHECK(site.call({"check", "--nagios", "--json"}).exit_code == 64);
  CHECK(site.call({"--json", "check", "--nagios"}).exit_code == 64);
}

TEST_CASE("check --nagios and a check of the tables work with a worker's and an operator's rights") {
  Site site;
  REQUIRE(site.run().exit_code == 0);
  for (const std::string group : {"zipmodule_worker", "zipmodule_operator"}) {
    const std::string login = site.database().name() + "_login";
    site.sql("CREATE ROLE " + login + " LOGIN IN ROLE " + group);
    site.set("database.dsn", "\"host='" + site.database().server().host + "' user=" + login +
                                 " dbname=" + site.database().name() + "\"");
    CHECK(nagios(site).exit_code == 0);
    for (const auto* name : {"queue", "stores", "tables", "vacuum"}) CHECK(site.probe(name)["level"] == "ok");
    site.sql("DROP ROLE " + login);
  }
}

TEST_CASE("check warns of a job that is due for longer than check.late") {
  Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  site.sql("UPDATE zipmodule.job SET due_at = statement_timestamp() - interval '2 minutes'");
  CHECK(site.probe("queue")["level"] == "ok");
  site.set("check.late", "1m");
  CHECK(site.probe("queue")["level"] == "warning");
  CHECK(site.call({"check"}).exit_code == 0);
}

TEST_CASE("check warns of an old transaction that holds vacuum back, and of the dead rows that pile up") {
  Site site;
  site.set("check.transaction", "1s");
  site.sql("ALTER TABLE zipmodule.job SET (autovacuum_enabled = false)");
  site.sql(
      "SELECT zipmodule.publish('series', 'a' || i, '[{\"source\": \"a.txt\"}]') FROM generate_series(1, 100) AS i");
  CHECK(site.probe("tables")["level"] == "ok");
  CHECK(site.probe("vacuum")["level"] == "ok");
  {
    OpenTransaction transaction(site, "forgotten report");
    site.sql("DO $$ BEGIN FOR i IN 1..105 LOOP UPDATE zipmodule.job SET progress = 0; END LOOP; END $$");
    const bool warned = wait_until([&] { return site.probe("vacuum")["level"] == "warning"; });
    CHECK(warned);
    const std::string detail = site.probe("vacuum")["detail"];
    INFO(detail);
    CHECK(detail.find("transaction pid ") != std::string::npos);
    CHECK(detail.find(" of " + site.database().server().user + " (forgotten report) for ") != std::string::npos);
    const bool bloated = wait_until([&] { return site.probe("tables")["level"] == "warning"; });
    CHECK(bloated);
    const Result result = site.call({"check"});
    INFO(result.text());
    CHECK(result.exit_code == 0);
    transaction.end();
  }
  const bool over = wait_until([&] { return site.probe("vacuum")["level"] == "ok"; });
  CHECK(over);
  site.sql("VACUUM zipmodule.job");
  const bool mended = wait_until([&] { return site.probe("tables")["level"] == "ok"; });
  CHECK(mended);
}

}  // namespace zipmodule::test
