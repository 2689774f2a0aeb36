// Two hosts, one database: whoever lost the lease commits nothing.
#include <csignal>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

// As after a pause longer than the lease, without waiting for it.
void expire_leases(const Site& site) {
  site.sql(
      "UPDATE zipmodule.job SET lease_until = statement_timestamp() - interval '1 second' WHERE lease_until IS NOT "
      "NULL");
}

TEST_CASE("a host that was paused beyond its lease can't commit over the one that took the job") {
  Site first;
  first.add_slow_content("slow.txt");
  first.publish("series", "a", "slow.txt");
  Process paused = first.run_until_building();
  expire_leases(first);

  Site second(first, "second.test");
  const Result taken = second.run();
  INFO(taken.text());
  REQUIRE(taken.exit_code == 0);
  const Json built = second.job("series", "a");
  CHECK(built["state"] == "done");
  CHECK(fs::exists(second.link("series", "a")));

  paused.send(SIGCONT);
  const Result late = paused.wait();
  INFO(late.text());
  const Json after = first.job("series", "a");
  CHECK(after["path"] == built["path"]);
  CHECK(after["state"] == "done");
  CHECK_FALSE(fs::exists(fs::symlink_status(first.link("series", "a"))));
  CHECK(first.unfinished().empty());

  const auto telemetry = first.telemetry("series", "a");
  REQUIRE(telemetry.size() == 2);
  std::map<std::string, std::string> outcome_of;
  for (const auto& row : telemetry) outcome_of[row["host"].get<std::string>()] = row["outcome"].get<std::string>();
  CHECK(outcome_of["first.test"] == "lost");
  CHECK(outcome_of["second.test"] == "done");
}

TEST_CASE("a paused host can't bring back an older revision") {
  Site first;
  first.add_slow_content("slow.txt");
  write_file(first.content("new.txt"), "new content");
  first.publish("series", "a", "slow.txt");
  Process paused = first.run_until_building();
  expire_leases(first);
  first.publish("series", "a", "new.txt");

  const Site second(first, "second.test");
  REQUIRE(second.run().exit_code == 0);
  paused.send(SIGCONT);
  paused.wait();
  CHECK(first.job("series", "a")["built_revision"] == 2);
  CHECK(run({"unzip", "-p", second.link("series", "a").string()}).out == "new content");
}

TEST_CASE("two hosts that share a disk and a name build one at a time, and one takes over from the other at once") {
  Site first;
  first.set("run.host", "shared.test");
  first.add_slow_content("slow.txt");
  first.publish("series", "a", "slow.txt");
  Site second(first, "shared.test");
  second.set("archives.root", '"' + first.store().string() + '"');

  Process building = first.run_until_building();
  const Result busy = second.run();
  INFO(busy.text());
  CHECK(busy.exit_code == 0);
  CHECK(busy.quiet());
  CHECK(first.unfinished().size() == 1);
  CHECK(first.state("series", "a") == "running");

  building.send(SIGKILL);
  building.wait();
  REQUIRE(second.run().exit_code == 0);
  CHECK(second.state("series", "a") == "done");
  CHECK(fs::exists(first.link("series", "a")));
  CHECK(first.unfinished().empty());
  // What it replaces is its own to collect, whoever of them has built it.
  CHECK(first.sql("SELECT count(DISTINCT instance) FROM zipmodule.build") == "1");
}

TEST_CASE("what one host has built and not linked before it died is built by the other, and not called damaged") {
  const Site first;
  write_file(first.content("a.txt"), "a");
  first.publish("series", "a", "a.txt");
  REQUIRE(first.run().exit_code == 0);
  // As a crash between commit and link leaves it, when the lease has run out.
  fs::remove(first.link("series", "a"));
  first.sql("UPDATE zipmodule.job SET pending = true, linked_revision = 0");

  const Site second(first, "second.test");
  const Result result = second.call({"run", "-v"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("damaged") == std::string::npos);
  CHECK(second.state("series", "a") == "done");
  CHECK(fs::exists(second.link("series", "a")));
  const auto rows = first.telemetry("series", "a");
  REQUIRE(rows.size() == 3);
  CHECK(rows[1]["outcome"] == "retry");
  CHECK(rows[1]["error_kind"] == "lease_lost");
  const std::string told = rows[1]["error"];
  INFO(told);
  CHECK(told.find("first.test built builds/") != std::string::npos);
  CHECK(rows[2]["outcome"] == "done");
}

TEST_CASE("two hosts share the work, and no job is built twice") {
  const Site first;
  const Site second(first, "second.test");
  for (int i = 0; i < 12; ++i) {
    const std::string name = "file" + std::to_string(i);
    write_file(first.content(name), wordy_text(300'000, static_cast<std::uint64_t>(i)));
    first.publish("series" + std::to_string(i % 3), name, name);
  }
  Process one = first.start({"run"});
  Process two = second.start({"run"});
  CHECK(one.wait().exit_code == 0);
  CHECK(two.wait().exit_code == 0);
  CHECK(first.sql("SELECT count(*) FROM zipmodule.job_status WHERE state = 'done'") == "12");
  CHECK(first.sql("SELECT count(*), count(DISTINCT job_id) FROM zipmodule.telemetry WHERE outcome = 'done'") ==
        "12|12");
  CHECK(first.builds().size() + second.builds().size() == 12);
}

}  // namespace
}  // namespace zipmodule::test
