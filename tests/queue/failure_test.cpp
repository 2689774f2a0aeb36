#include <limits>

#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

double pause(const Bench& bench) { return std::stod(bench.job("extract(epoch FROM due_at - statement_timestamp())")); }

}  // namespace

TEST_CASE("counted failures wait twice as long each time until the attempts are used up") {
  Bench bench;  // max_attempts 3
  bench.publish("a");
  bench.worker.fail(bench.run, {failure_of(bench.claim_one().lease)});
  CHECK(bench.state() == "waiting");
  CHECK(pause(bench) > 9);
  CHECK(pause(bench) <= 11);
  bench.make_due();
  bench.worker.fail(bench.run, {failure_of(bench.claim_one().lease)});
  CHECK(pause(bench) > 19);
  CHECK(pause(bench) <= 22);
  bench.make_due();
  CHECK(bench.worker.fail(bench.run, {failure_of(bench.claim_one().lease)}) == std::vector<bool>{true});
  CHECK(bench.state() == "failed");
  CHECK(bench.job("attempts || ' ' || last_error_kind || ' ' || last_error") == "3 io it went wrong");
  CHECK(bench.outcomes() == "retry retry failed");
  CHECK(bench.db.sql("SELECT string_agg(attempt::text, ' ' ORDER BY id) FROM zipmodule.telemetry") == "1 2 3");
}

TEST_CASE("the pause is an hour at most") {
  Bench bench;
  bench.publish("a");
  bench.db.sql("UPDATE zipmodule.job SET attempts = 1000");
  auto failure = failure_of(bench.claim_one().lease);
  failure.counts = false;
  bench.worker.fail(bench.run, {failure});
  CHECK(pause(bench) > 3599);
  CHECK(pause(bench) <= 3960);
}

TEST_CASE("a failure that does not count never uses up the attempts") {
  Bench bench;
  bench.publish("a");
  for (int i = 0; i < 5; ++i) {
    auto failure = failure_of(bench.claim_one().lease, "disk_full");
    failure.counts = false;
    failure.retry_after_seconds = 0;
    bench.worker.fail(bench.run, {failure});
  }
  CHECK(bench.state() == "pending");
  CHECK(bench.job("attempts") == "0");
}

TEST_CASE("a failure that can't be mended by another try fails the job at once") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease, "payload");
  failure.retryable = false;
  bench.worker.fail(bench.run, {failure});
  CHECK(bench.state() == "failed");
  CHECK(bench.outcomes() == "failed");
}

TEST_CASE("a failure of an older revision counts nothing against the newer one, which is due at once") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease);
  failure.retryable = false;
  bench.publish("a");
  CHECK(bench.worker.fail(bench.run, {failure}) == std::vector<bool>{true});
  CHECK(bench.state() == "pending");
  CHECK(bench.job("attempts || ' ' || coalesce(last_error, 'none')") == "0 none");
  CHECK(bench.outcomes() == "retry");
  const auto next = bench.claim_one();
  CHECK(next.lease.revision == 2);
  CHECK(next.attempt == 1);
}

TEST_CASE("the worker may name the pause itself, and nonsense in it does no harm") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease);
  failure.retry_after_seconds = 300;
  bench.worker.fail(bench.run, {failure});
  CHECK(pause(bench) > 299);
  CHECK(pause(bench) <= 300);
  for (const double nonsense : {std::numeric_limits<double>::infinity(), -1.0, std::nan("")}) {
    bench.make_due();
    failure = failure_of(bench.claim_one().lease);
    failure.counts = false;
    failure.retry_after_seconds = nonsense;
    failure.attempt.measured.build_seconds = nonsense;
    CHECK(bench.worker.fail(bench.run, {failure}) == std::vector<bool>{true});
  }
}

TEST_CASE("an error text with any bytes is kept as far as text can hold it") {
  Bench bench;
  bench.publish("a");
  auto failure = failure_of(bench.claim_one().lease);
  failure.attempt.error = std::string("bad \xFF name, zero \0, quote '\"\\, ", 32) + std::string(10'000, 'x');
  failure.attempt.missing = {"gone \xC3", "two\nlines"};
  CHECK(bench.worker.fail(bench.run, {failure}) == std::vector<bool>{true});
  CHECK(bench.job("left(last_error, 31)") == "bad \xEF\xBF\xBD name, zero \xEF\xBF\xBD, quote '\"\\, ");
  CHECK(bench.job("length(last_error)") == "4000");
  CHECK(bench.db.sql("SELECT missing ->> 1 FROM zipmodule.telemetry") == "two\nlines");
}

TEST_CASE("a link that fails says nothing about a newer publish, neither its quiet time nor its error") {
  Bench bench;
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  REQUIRE(bench.worker.commit(bench.run, {completion_of(lease, 1)}) == std::vector<bool>{true});
  bench.publish("a", {{"quiet", "2 hours"}, {"max_wait", "3 hours"}});
  auto failure = failure_of(lease);
  failure.counts = false;
  failure.retry_after_seconds = 60;
  REQUIRE(bench.worker.fail(bench.run, {failure}) == std::vector<bool>{true});
  CHECK(bench.job("due_at > statement_timestamp() + interval '1 hour'") == "t");
  CHECK(bench.job("last_error IS NULL") == "t");
}
