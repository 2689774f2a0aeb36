#include "base/error.hpp"
#include "queue/fixture.hpp"

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
