#include <atomic>

#include "base/error.hpp"
#include "queue/fixture.hpp"
#include "queue/listener.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

TEST_CASE("each publish of an archive raises its wanted revision and keeps its job") {
  Bench bench;
  const auto first = bench.publish("a");
  const auto second = bench.publish("a");
  CHECK(first.revision == 1);
  CHECK(second.revision == 2);
  CHECK(second.job_id == first.job_id);
  CHECK(bench.state() == "pending");
}

TEST_CASE("a publish that is rolled back leaves nothing") {
  Bench bench;
  bench.db.sql("BEGIN; SELECT zipmodule.publish('s', 'a', '[{\"source\": \"x\"}]'); ROLLBACK");
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.job") == "0");
  CHECK(bench.worker.claim(bench.run, 10).empty());
}

TEST_CASE("a publish makes a failed job pending again with all its attempts ahead") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease);
  failure.retryable = false;
  bench.worker.fail(bench.run, {failure});
  REQUIRE(bench.state() == "failed");
  bench.publish("a");
  CHECK(bench.state() == "pending");
  CHECK(bench.job("attempts || ' ' || claims || ' ' || losses || ' ' || coalesce(last_error, 'none')") == "0 0 0 none");
}

TEST_CASE("quiet waits for the last of a burst of publishes, and max_wait ends the waiting") {
  Bench bench;
  bench.publish("a", {{"quiet", "10 minutes"}, {"max_wait", "1 hour"}});
  CHECK(bench.state() == "waiting");
  CHECK(bench.job("due_at - window_at = interval '10 minutes'") == "t");
  CHECK(bench.worker.claim(bench.run, 1).empty());

  bench.db.sql("UPDATE zipmodule.job SET window_at = statement_timestamp() - interval '55 minutes'");
  bench.publish("a", {{"quiet", "10 minutes"}, {"max_wait", "1 hour"}});
  CHECK(bench.job("due_at - window_at = interval '1 hour'") == "t");
  CHECK(bench.state() == "waiting");

  bench.db.sql("UPDATE zipmodule.job SET window_at = statement_timestamp() - interval '2 hours'");
  bench.publish("a", {{"quiet", "10 minutes"}, {"max_wait", "1 hour"}});
  CHECK(bench.state() == "pending");
}

TEST_CASE("a burst during a build opens a waiting window of its own") {
  Bench bench;
  bench.publish("a");
  bench.db.sql("UPDATE zipmodule.job SET window_at = statement_timestamp() - interval '2 hours'");
  bench.claim_one();
  bench.publish("a", {{"quiet", "10 minutes"}});
  CHECK(bench.job("due_at - window_at = interval '10 minutes'") == "t");
}

TEST_CASE("a publish after a failed attempt waits its whole quiet time, however old the failed one is") {
  Bench bench;
  bench.publish("a");
  const auto age = [&] { bench.db.sql("UPDATE zipmodule.job SET window_at = window_at - interval '1 day'"); };
  age();
  bench.worker.fail(bench.run, {failure_of(bench.claim_one().lease)});
  bench.publish("a", {{"quiet", "10 minutes"}});
  CHECK(bench.state() == "waiting");
  CHECK(bench.job("due_at - published_at = interval '10 minutes'") == "t");
  // That publish has opened the window, and the next ones don't: max_wait counts from it.
  age();
  bench.publish("a", {{"quiet", "10 minutes"}});
  CHECK(bench.state() == "pending");
}

TEST_CASE("a publish after a cancel waits its whole quiet time, also where a link is still to be made") {
  Bench bench;
  bench.publish("a");
  bench.worker.commit(bench.run, {completion_of(bench.claim_one().lease, 1)});
  bench.publish("a", {{"quiet", "10 minutes"}});
  Publisher(bench.db.options()).cancel("s", "a");
  REQUIRE(bench.job("pending") == "t");
  bench.db.sql("UPDATE zipmodule.job SET window_at = window_at - interval '1 day', lease_until = NULL");
  bench.publish("a", {{"quiet", "10 minutes"}});
  CHECK(bench.job("due_at - published_at = interval '10 minutes'") == "t");
}

TEST_CASE("merge replaces elements at the same place in the archive and appends the others") {
  Bench bench;
  Publisher publisher(bench.db.options());
  publisher.publish({"s",
                     "a",
                     R"([{"source": "x/one.txt"}, {"source": "m:two.txt", "destination": "d"}, {"source": "all/"},
                         {"source": "y/three.txt", "name": "3.txt"}])",
                     {}});
  publisher.publish({"s",
                     "a",
                     R"([{"source": "new/four.txt"}, {"source": "z/other.txt", "name": "one.txt"},
                         {"source": "n/two.txt", "destination": "d"}, {"source": "more/"}])",
                     {{"mode", "merge"}}});
  CHECK(bench.db.sql("SELECT string_agg(e ->> 'source', ' ' ORDER BY n) FROM zipmodule.job, "
                     "jsonb_array_elements(files) WITH ORDINALITY f(e, n)") ==
        "z/other.txt n/two.txt all/ y/three.txt new/four.txt more/");
}

namespace {

std::string wanted_sources(const Bench& bench) {
  return bench.db.sql(
      "SELECT string_agg(e ->> 'source', ' ' ORDER BY n) FROM zipmodule.job, "
      "jsonb_array_elements(files) WITH ORDINALITY f(e, n)");
}

Published merge(const Bench& bench, const std::string& files) {
  return Publisher(bench.db.options()).publish({"s", "a", files, {{"mode", "merge"}}});
}

}  // namespace

TEST_CASE("a merge takes out what it removes, by its place in the archive") {
  Bench bench;
  Publisher(bench.db.options())
      .publish({"s",
                "a",
                R"([{"source": "x/one.txt"}, {"source": "two.jpg", "destination": "photos"},
                    {"source": "three.jpg", "destination": "photos", "name": "3.jpg"}, {"source": "all/", "destination": "d"},
                    {"source": "m:series/42"}, {"source": "deep", "destination": "photos/old"}])",
                {}});
  merge(bench, R"([{"remove": "photos/two.jpg"}])");
  CHECK(wanted_sources(bench) == "x/one.txt three.jpg all/ m:series/42 deep");
  merge(bench, R"([{"remove": "nothing/there"}, {"remove": "one.txt"}, {"source": "new"}])");
  CHECK(wanted_sources(bench) == "three.jpg all/ m:series/42 deep new");
  merge(bench, R"([{"remove": "photos/"}, {"remove": "42/"}, {"remove": "d/"}])");
  CHECK(wanted_sources(bench) == "new");
}

TEST_CASE("the last of several elements for a place in one merge wins") {
  Bench bench;
  merge(bench, R"([{"source": "a/1"}, {"remove": "1"}, {"source": "b/2"}, {"remove": "3"}, {"source": "c/3"}])");
  CHECK(wanted_sources(bench) == "b/2 c/3");
}

TEST_CASE("a merge that leaves nothing, and a remove that is none, are refused") {
  Bench bench;
  bench.publish("a");
  const auto refused = [&](const std::string& files, const std::string& mode) -> std::string {
    try {
      Publisher(bench.db.options()).publish({"s", "a", files, {{"mode", mode}}});
    } catch (const zipmodule::Error& error) {
      return error.what();
    }
    return {};
  };
  CHECK_THAT(refused(R"([{"remove": "a.txt"}])", "merge"), Catch::Contains("must not be empty after merging"));
  CHECK_THAT(refused(R"([{"remove": "a.txt"}])", "replace"), Catch::Contains("files[0].remove: needs mode => 'merge'"));
  CHECK_THAT(refused(R"([{"source": "x"}, {"remove": "../x"}])", "merge"),
             Catch::Contains("files[1].remove: must not contain '..'"));
  CHECK_THAT(refused(R"([{"remove": ""}])", "merge"), Catch::Contains("files[0].remove: must not be empty"));
  CHECK_THAT(refused(R"([{"remove": 1}])", "merge"), Catch::Contains("files[0].remove: must be a string"));
  CHECK_THAT(refused(R"([{"remove": "a", "source": "b"}])", "merge"),
             Catch::Contains("files[0].remove: must be the only key"));
  CHECK(wanted_sources(bench) == "a.txt");
  CHECK(bench.job("wanted_revision") == "1");
}

TEST_CASE("a publish notifies only while a run listens") {
  Bench bench;
  Session listener(bench.db);
  listener.sql("LISTEN zipmodule_publish");
  bench.publish("a");
  CHECK(bench.db.sql("SELECT pg_notification_queue_usage()") == "0");
  std::atomic<int> woken = 0;
  Listener waiting(bench.db.options(), [&] { ++woken; });
  wait_until([&] { return woken == 1; });  // it listens now
  REQUIRE(waiting.is_listening());
  const int before = woken;
  bench.publish("b");
  bench.worker.note_listening(std::chrono::seconds(60));
  bench.publish("c");
  wait_until([&] { return woken > before; });
  CHECK(woken == before + 1);
  bench.worker.note_listening(std::chrono::seconds(0));
  bench.publish("d");
  bench.worker.note_listening(std::chrono::seconds(60));
  bench.publish("e");
  wait_until([&] { return woken > before + 1; });
  CHECK(woken == before + 2);
}

TEST_CASE("a listener whose connection is cut listens again") {
  Bench bench;
  std::atomic<int> woken = 0;
  auto options = bench.db.options();
  options.application_name = "listener";
  Listener listener(options, [&] { ++woken; });
  wait_until([&] { return listener.is_listening(); });
  bench.db.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'listener' AND "
      "datname = current_database()");
  wait_until([&] { return !listener.is_listening(); });
  wait_until([&] { return listener.is_listening(); });
  wait_until([&] { return woken >= 3; });
}

TEST_CASE("merge into an archive that was never published is a plain publish") {
  Bench bench;
  bench.publish("a", {{"mode", "merge"}});
  CHECK(bench.job("files ->0 ->> 'source'") == "a.txt");
}

TEST_CASE("an insert into publication is a publish and returns job and revision") {
  Bench bench;
  const std::string insert =
      "INSERT INTO zipmodule.publication (series, archive, files) VALUES ('s', 'a', '[{\"source\": \"x\"}]') "
      "RETURNING job_id || ' ' || revision";
  const std::string first = bench.db.sql(insert);
  const std::string job_id = bench.job("job_id");
  CHECK(first == job_id + " 1");
  CHECK(bench.db.sql(insert) == job_id + " 2");
  CHECK(bench.job("concat_ws(' ', metadata, priority, lane, on_missing)") == "{} 0 s fail");
  CHECK(bench.db.sql("SELECT revision FROM zipmodule.publication") == "2");
}

TEST_CASE("publication takes neither bad payloads nor updates") {
  Bench bench;
  CHECK_THROWS_WITH(bench.db.sql("INSERT INTO zipmodule.publication (series, archive, files) VALUES ('s', 'a', '[]')"),
                    Catch::Contains("files: must not be empty"));
  bench.publish("a");
  CHECK_THROWS_WITH(bench.db.sql("UPDATE zipmodule.publication SET priority = 9"),
                    Catch::Contains("only takes INSERT"));
  CHECK_THROWS_WITH(bench.db.sql("DELETE FROM zipmodule.publication"), Catch::Contains("only takes INSERT"));
}

TEST_CASE("cancel takes back what is pending, once, and the last build stays") {
  Bench bench;
  Publisher publisher(bench.db.options());
  CHECK_FALSE(publisher.cancel("s", "a"));
  bench.publish("a");
  build_next(bench, 1);
  CHECK_FALSE(publisher.cancel("s", "a"));
  bench.publish("a");
  CHECK(publisher.cancel("s", "a"));
  CHECK_FALSE(publisher.cancel("s", "a"));
  CHECK(bench.state() == "cancelled");
  CHECK(bench.job("built_revision || ' ' || (build_id IS NOT NULL)") == "1 true");
  CHECK(bench.worker.claim(bench.run, 1).empty());
}

TEST_CASE("retry makes failed, cancelled and waiting jobs due, and no others") {
  Bench bench;
  Publisher publisher(bench.db.options());
  CHECK_FALSE(publisher.retry("s", "a"));
  bench.publish("a");
  CHECK_FALSE(publisher.retry("s", "a"));
  publisher.cancel("s", "a");
  CHECK(publisher.retry("s", "a"));
  CHECK(bench.state() == "pending");

  auto failure = failure_of(bench.claim_one().lease);
  CHECK_FALSE(publisher.retry("s", "a"));
  bench.worker.fail(bench.run, {failure});
  REQUIRE(bench.state() == "waiting");
  CHECK(publisher.retry("s", "a"));
  CHECK(bench.job("attempts") == "0");

  failure = failure_of(bench.claim_one().lease);
  failure.retryable = false;
  bench.worker.fail(bench.run, {failure});
  REQUIRE(bench.state() == "failed");
  CHECK(publisher.retry("s", "a"));
  build_next(bench, 1);
  CHECK_FALSE(publisher.retry("s", "a"));
  CHECK(bench.state() == "done");
}

TEST_CASE("a publish into a lane that has grown long reads no more of it than into a short one") {
  Bench bench;
  Session session(bench.db);
  const auto publish = [&](int from, int to) {
    session.sql(
        fmt::format("DO $$ BEGIN FOR i IN {}..{} LOOP PERFORM zipmodule.publish('long', 'a' || i, "
                    "'[{{\"source\": \"a\"}}]'); END LOOP; END $$",
                    from, to));
  };
  // This session's plans are made while the table is nearly empty, and stay.
  publish(1, 20);
  publish(21, 3'000);
  // Counts may hold more than this transaction's, until the server gathers them.
  const auto rows_read = [&] {
    return std::stol(session.sql(
        "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'zipmodule.job'::regclass"));
  };
  session.sql("BEGIN");
  const auto before = rows_read();
  publish(3'001, 3'010);
  const auto read = rows_read() - before;
  session.sql("ROLLBACK");
  CHECK(read <= 100);
}

TEST_CASE("a cancel does not leave a link waiting for the quiet time of what it took back") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  REQUIRE(bench.worker.commit(bench.run, {completion_of(lease, 1)}) == std::vector<bool>{true});
  bench.let_leases_expire();  // its worker died before the link
  bench.publish("a", {{"quiet", "30 days"}, {"max_wait", "60 days"}});
  CHECK(bench.db.sql("SELECT zipmodule.cancel('s', 'a')") == "t");
  std::vector<ClaimedJob> jobs;
  wait_until([&] {
    jobs = bench.worker.claim(bench.run, 1);
    return !jobs.empty();
  });
  CHECK(jobs[0].lease.revision == 1);
}

// As columns of a CMS have that are sorted for their language.
TEST_CASE("names may come from columns with a collation of their own") {
  Bench bench;
  bench.db.sql(R"(
    CREATE TABLE album (series text COLLATE "POSIX", slug text COLLATE "POSIX");
    INSERT INTO album VALUES ('s', 'a'), ('s', 'b'))");
  const auto over_albums = [&](const std::string& call) {
    return bench.db.sql("SELECT string_agg((" + call + ")::text, ' ' ORDER BY slug) FROM album");
  };
  const std::string publish =
      "SELECT revision FROM zipmodule.publish(series, slug, '[{\"source\":\"x\"}]', lane => slug)";
  CHECK(over_albums(publish) == "1 1");
  CHECK(over_albums(publish) == "2 2");
  CHECK(over_albums("SELECT state FROM zipmodule.status(series, slug)") == "pending pending");
  CHECK(over_albums("SELECT zipmodule.cancel(series, slug)") == "true true");
  CHECK(over_albums("SELECT zipmodule.retry(series, slug)") == "true true");
}

TEST_CASE("a publish is checked the same in a session where backslashes escape") {
  Bench bench;
  Session session(bench.db);
  session.sql("SET standard_conforming_strings = off");
  session.sql("SET escape_string_warning = off");
  CHECK_NOTHROW(session.sql(R"(SELECT zipmodule.publish('s', 'a', '[{"source": "a"}]'))"));
  CHECK_THROWS_WITH(session.sql(R"(SELECT zipmodule.publish('s', 'a', '[{"source": "a", "name": "b\\\\c"}]'))"),
                    Catch::Contains("must not contain '\\'"));
}

TEST_CASE("a long list of long names is not looked at in one piece") {
  Bench bench;
  CHECK_NOTHROW(bench.db.sql(
      "SELECT zipmodule.check_files((SELECT jsonb_agg(jsonb_build_object('source', repeat('x', 250) || n)) "
      "FROM generate_series(1, 200000) AS n), 'replace')"));
}
