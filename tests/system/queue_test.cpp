// The rules of the queue, as whole runs keep them: waiting for silence, turns, caps, and building at once what is published.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// A site with a run that lingers until it is stopped.
struct LingeringSite : Site {
  LingeringSite() {
    set("run.linger", "5m");
    set("run.max_runtime", "10m");
    write_file(content("a.txt"), "a");
    write_file(content("b.txt"), "b");
  }

  bool listens() const { return sql("SELECT bool_or(listening) FROM zipmodule.hosts") == "t"; }
  // Builds done, oldest first.
  std::string built(const std::string& archive) const {
    return sql(
        "SELECT coalesce(string_agg(revision::text, ' ' ORDER BY id), '') FROM zipmodule.telemetry "
        "WHERE outcome = 'done' AND archive = " +
        quoted(archive));
  }
  bool is_done(const std::string& archive) const { return state("series", archive) == "done"; }
};

std::string list_of(const fs::path& archive) { return run({"unzip", "-Z1", archive.string()}).out; }

// Started, and listening.
Process start_listening(const LingeringSite& site) {
  Process run = site.start({"run"});
  REQUIRE(wait_until([&] { return site.listens(); }));
  return run;
}

void end(Process& run) {
  run.send(SIGTERM);
  const Result result = run.wait();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.quiet());
}

}  // namespace

TEST_CASE("a run that lingers builds what is published at once, and not at its next look") {
  LingeringSite site;
  Process run = start_listening(site);
  for (int i = 0; i < 5; ++i) {
    const std::string archive = "a" + std::to_string(i);
    const auto published = std::chrono::steady_clock::now();
    site.publish("series", archive, "a.txt");
    REQUIRE(wait_until([&] { return fs::exists(site.link("series", archive)); }));
    // It looks by itself every five seconds.
    CHECK(std::chrono::steady_clock::now() - published < 4s);
  }
  end(run);
}

TEST_CASE("publishes notify while a run lingers, and not when it has ended") {
  LingeringSite site;
  const auto notifies = [&] {
    // psql tells of notifications that its own session gets.
    const Result result = site.database().psql(
        "LISTEN zipmodule_publish; SELECT revision FROM zipmodule.publish('series', 'quiet', "
        "'[{\"source\":\"a.txt\"}]');",
        site.database().name());
    REQUIRE(result.exit_code == 0);
    return result.out.find("Asynchronous notification") != std::string::npos;
  };
  CHECK_FALSE(notifies());
  Process run = start_listening(site);
  CHECK(notifies());
  end(run);
  CHECK_FALSE(site.listens());
  CHECK_FALSE(notifies());
}

TEST_CASE("a run ends when it lingered without work for as long as it was told") {
  LingeringSite site;
  site.set("run.linger", "1s");
  Process run = site.start({"run"});
  site.publish("series", "a", "a.txt");
  REQUIRE(wait_until([&] { return site.is_done("a"); }));
  const Result result = run.wait(20s);
  CHECK(result.exit_code == 0);
  CHECK_FALSE(result.timed_out);
  CHECK(site.sql("SELECT outcome FROM zipmodule.run") == "done");
}

TEST_CASE("45 publishes while an editor saves are built once, when it falls silent, as the last of them said") {
  LingeringSite site;
  Process run = start_listening(site);
  for (int i = 1; i < 45; ++i) site.publish("series", "a", "a.txt", "quiet => '3 seconds'");
  CHECK(site.state("series", "a") == "waiting");
  CHECK(site.publish("series", "a", "b.txt", "quiet => '3 seconds'") == 45);
  REQUIRE(wait_until([&] { return site.is_done("a"); }));
  CHECK(site.built("a") == "45");
  CHECK(list_of(site.link("series", "a")) == "b.txt\n");
  // Not before it had been silent for that long.
  CHECK(site.sql("SELECT claimed_at >= published_at + interval '3 seconds' FROM zipmodule.telemetry") == "t");
  end(run);
}

TEST_CASE("an editor that never falls silent waits no longer than max_wait") {
  LingeringSite site;
  Process run = start_listening(site);
  const auto begin = std::chrono::steady_clock::now();
  while (site.built("a").empty() && std::chrono::steady_clock::now() - begin < 20s) {
    site.publish("series", "a", "a.txt", "quiet => '10 seconds', max_wait => '2 seconds'");
    std::this_thread::sleep_for(100ms);
  }
  const auto waited = std::chrono::steady_clock::now() - begin;
  CHECK_FALSE(site.built("a").empty());
  CHECK(waited >= 2s);
  CHECK(waited < 9s);
  end(run);
}

TEST_CASE("pages added one by one are one build, when the crawler falls silent") {
  LingeringSite site;
  Process run = start_listening(site);
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    const std::string page = "page-" + std::to_string(i) + ".html";
    write_file(site.content(page), page);
    expected += page + "\n";
    site.publish("series", "book", page, "mode => 'merge', quiet => '3 seconds'");
  }
  REQUIRE(wait_until([&] { return site.is_done("book"); }));
  CHECK(site.built("book") == "10");
  CHECK(list_of(site.link("series", "book")) == expected);
  site.publish("series", "book", R"([{"remove": "page-3.html"}])", "mode => 'merge'");
  REQUIRE(wait_until([&] { return site.built("book") == "10 11"; }));
  CHECK(list_of(site.link("series", "book")).find("page-3") == std::string::npos);
  end(run);
}

TEST_CASE("one run builds the lanes in turns, whatever their length") {
  Site site;
  site.set("run.workers", "1");
  write_file(site.content("a.txt"), "a");
  for (const auto& [lane, length] : {std::pair{"long", 1000}, {"short", 10}, {"middle", 100}}) {
    site.sql("SELECT count(revision) FROM generate_series(1, " + std::to_string(length) +
             ") AS n, zipmodule.publish('" + lane + "', 'a' || n, '[{\"source\":\"a.txt\"}]')");
  }
  REQUIRE(site.run().exit_code == 0);
  CHECK(site.sql("SELECT count(*) FROM zipmodule.telemetry WHERE outcome = 'done'") == "1110");
  const std::string place = site.sql(
      "SELECT max(place) FROM (SELECT series, row_number() OVER (ORDER BY started_at) AS place FROM "
      "zipmodule.telemetry) AS ordered WHERE series = 'short'");
  INFO("the tenth of the short lane was built at place " << place);
  CHECK(std::stoi(place) <= 40);
}

TEST_CASE("two hosts together build no more of a lane at once than lane_max") {
  Site first;
  first.set("run.lane_max", "1");
  first.set("run.workers", "2");
  for (int i = 0; i < 6; ++i) {
    const std::string name = std::to_string(i) + ".txt";
    write_file(first.content(name), std::string(200'000, static_cast<char>('a' + i)));
    first.publish("narrow", name, name);
    first.publish("other-" + name, name, name);
  }
  Site second(first, "second.test");
  second.set("run.lane_max", "1");
  second.set("run.workers", "2");
  const auto done = [&] { return first.sql("SELECT bool_and(state = 'done') FROM zipmodule.job_status") == "t"; };
  // What a run leaves because its lane is full, the next one takes.
  for (int launch = 0; launch < 20 && !done(); ++launch) {
    Process one = first.start({"run"});
    Process other = second.start({"run"});
    CHECK(one.wait().exit_code == 0);
    CHECK(other.wait().exit_code == 0);
  }
  CHECK(done());
  // No two attempts of the lane overlap: none was claimed before the one before it had ended.
  CHECK(first.sql("SELECT count(*) FROM (SELECT claimed_at, lag(finished_at) OVER (ORDER BY claimed_at) AS ended "
                  "FROM zipmodule.telemetry WHERE series = 'narrow') AS attempt WHERE claimed_at < ended") == "0");
  CHECK(first.sql("SELECT count(*) FROM zipmodule.telemetry WHERE series = 'narrow' AND outcome = 'done'") == "6");
}

}  // namespace zipmodule::test
