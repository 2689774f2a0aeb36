// Keeping tables small, and telling how they are.
#include "queue/upkeep.hpp"

#include <functional>

#include "base/error.hpp"
#include "queue/fixture.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;
using namespace std::chrono_literals;

namespace {

constexpr auto k_days = [](int days) { return std::chrono::hours(24 * days); };
const std::function<bool()> k_always = [] { return true; };

// `count` attempts that ended `days` ago.
void add_telemetry(const Bench& bench, int count, int days) {
  bench.db.sql(
      fmt::format("INSERT INTO zipmodule.telemetry (job_id, series, archive, revision, outcome, finished_at) "
                  "SELECT 1, 's', 'a', 1, 'done', statement_timestamp() - interval '{} days' "
                  "FROM generate_series(1, {})",
                  days, count));
}

void add_runs(const Bench& bench, const std::string& instance, int count, int days,
              const std::string& outcome = "done") {
  bench.db.sql(
      fmt::format("INSERT INTO zipmodule.run (host, instance, token, pid, version, started_at, finished_at, outcome) "
                  "SELECT split_part('{0}', ':', 1), '{0}', repeat('0', 32), 1, 'test', moment, moment, '{3}' FROM "
                  "generate_series(1, {1}), "
                  "LATERAL (SELECT statement_timestamp() - interval '{2} days' AS moment) AS at",
                  instance, count, days, outcome));
}

std::string count_of(const Bench& bench, const std::string& table) {
  return bench.db.sql("SELECT count(*) FROM zipmodule." + table);
}

}  // namespace

TEST_CASE("pruning removes attempts by age, batch by batch, and leaves what is younger") {
  Bench bench;
  add_telemetry(bench, 25, 500);
  add_telemetry(bench, 7, 399);
  add_telemetry(bench, 3, 0);
  Upkeep upkeep(bench.db.options());
  int asked = 0;
  CHECK(upkeep.prune_telemetry(k_days(400), 10, [&] { return ++asked > 0; }) == 25);
  CHECK(asked == 4);  // 10, 10, 5, and the one that found nothing
  CHECK(count_of(bench, "telemetry") == "10");
  CHECK(upkeep.prune_telemetry(k_days(400), 10, k_always) == 0);
}

TEST_CASE("every batch is a transaction of its own: what was removed before a stop stays removed") {
  Bench bench;
  add_telemetry(bench, 25, 500);
  int batches = 0;
  CHECK(Upkeep(bench.db.options()).prune_telemetry(k_days(400), 10, [&] { return ++batches <= 1; }) == 10);
  CHECK(count_of(bench, "telemetry") == "15");
}

TEST_CASE("pruning does not wait for a publisher's open transaction") {
  Bench bench;
  bench.publish("a");
  add_telemetry(bench, 5, 500);
  Session publisher(bench.db);
  publisher.sql("BEGIN");
  publisher.sql("SELECT * FROM zipmodule.publish('s', 'a', '[{\"source\": \"b\"}]')");
  CHECK(Upkeep(bench.db.options()).prune_telemetry(k_days(400), 10, k_always) == 5);
  publisher.sql("ROLLBACK");
}

TEST_CASE("of runs, the newest of each instance stays, because the next one asks how it ended") {
  Bench bench;  // has begun a run of host-a just now
  add_runs(bench, "host-b:/store", 12, 200);
  add_runs(bench, "host-c:/store", 1, 200);
  add_runs(bench, "host-a:/srv/archives", 3, 10);
  CHECK(Upkeep(bench.db.options()).prune_runs(k_days(90), 5, k_always) == 11);
  CHECK(bench.db.sql("SELECT string_agg(instance || ' ' || count, ', ' ORDER BY instance) FROM (SELECT instance, "
                     "count(*) FROM zipmodule.run GROUP BY instance) AS runs") ==
        "host-a:/srv/archives 4, host-b:/store 1, host-c:/store 1");
}

TEST_CASE("a host that comes back after its last run was old still hears that it was killed") {
  Bench bench;
  bench.db.sql("UPDATE zipmodule.run SET started_at = started_at - interval '1 year'");
  Upkeep(bench.db.options()).prune_runs(k_days(90), 100, k_always);
  bench.db.sql("SELECT zipmodule.prune('90 days')");
  CHECK_FALSE(bench.worker.begin_run(2, "test", token_of(2)).previous_clean);
}

TEST_CASE("pruning at the end of a run comes once an hour, whichever host is first") {
  Bench bench;
  Upkeep first(bench.db.options());
  Upkeep second(bench.db.options());
  CHECK(first.begin(1h));
  CHECK_FALSE(second.begin(1h));
  CHECK_FALSE(first.begin(1h));
  bench.db.sql("UPDATE zipmodule.upkeep SET pruned_at = statement_timestamp() - interval '61 minutes'");
  CHECK(second.begin(1h));
  CHECK_FALSE(first.begin(1h));
  // A clock that was ahead must not turn it off for as long.
  bench.db.sql("UPDATE zipmodule.upkeep SET pruned_at = statement_timestamp() + interval '1 year'");
  CHECK(first.begin(1h));
  CHECK_FALSE(second.begin(1h));
}

TEST_CASE("the hot table is vacuumed far sooner than a server does by itself") {
  Bench bench;
  const auto options = bench.db.sql("SELECT reloptions::text FROM pg_class WHERE oid = 'zipmodule.job'::regclass");
  CHECK_THAT(options, Catch::Contains("autovacuum_vacuum_scale_factor=0.02"));
  CHECK_THAT(options, Catch::Contains("autovacuum_vacuum_threshold=500"));
  CHECK_THAT(options, Catch::Contains("fillfactor=35"));
}

TEST_CASE("gauges count the states as the view derives them") {
  Bench bench;
  Upkeep upkeep(bench.db.options());
  CHECK(upkeep.gauges().due == 0);
  CHECK(upkeep.gauges().oldest_due_seconds == 0);
  CHECK_FALSE(upkeep.gauges().success_seconds);

  for (const char* archive : {"done", "running", "failed", "waiting", "cancelled", "due"}) bench.publish(archive);
  build_next(bench, 1);
  bench.claim_one();
  Failure failure = failure_of(bench.claim_one().lease);
  failure.retryable = false;
  REQUIRE(bench.worker.fail(bench.run, {failure}) == std::vector<bool>{true});
  bench.db.sql(
      "UPDATE zipmodule.job SET due_at = statement_timestamp() + interval '1 hour' WHERE archive = 'waiting'; "
      "UPDATE zipmodule.job SET due_at = statement_timestamp() - interval '100 seconds', "
      "pending_since = statement_timestamp() - interval '500 seconds' WHERE archive = 'due'; "
      "SELECT zipmodule.cancel('s', 'cancelled')");
  const auto gauges = upkeep.gauges();
  const auto by_view = [&](const std::string& state) {
    return std::stoll(bench.db.sql("SELECT count(*) FROM zipmodule.job_status WHERE state = '" + state + "'"));
  };
  CHECK(gauges.due == by_view("pending"));
  CHECK(gauges.waiting == by_view("waiting"));
  CHECK(gauges.running == by_view("running"));
  CHECK(gauges.failed == by_view("failed"));
  CHECK((gauges.due == 1 && gauges.waiting == 1 && gauges.running == 1 && gauges.failed == 1));
  CHECK((gauges.oldest_due_seconds >= 100 && gauges.oldest_due_seconds < 160));
  CHECK((gauges.oldest_pending_seconds >= 500 && gauges.oldest_pending_seconds < 560));
}

TEST_CASE("gauges tell of the last run that ended well, of all hosts or of one") {
  Bench bench;
  Upkeep upkeep(bench.db.options());
  add_runs(bench, "host-b:/store", 1, 2);
  add_runs(bench, "host-c:/store", 1, 1, "timeout");
  add_runs(bench, "host-b:/store", 1, 0, "failed");
  add_runs(bench, "host-b:/store", 1, 0, "stopped");
  const auto age = [&](const std::string& host) {
    const auto seconds = upkeep.gauges(host).success_seconds;
    return seconds ? static_cast<int>(*seconds / 86'400) : -1;
  };
  CHECK(age("") == 1);
  CHECK(age("host-b") == 2);
  CHECK(age("host-c") == 1);
  CHECK(age("host-x") == -1);
}

TEST_CASE("an open transaction that holds vacuum back is named by process, user and application") {
  Bench bench;
  Upkeep upkeep(bench.db.options());
  CHECK(upkeep.vacuum_holders(0s, 1'000'000).empty());
  Session session(bench.db);
  session.sql("SET application_name = 'forgotten report'");
  session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ");
  const auto pid = session.sql("SELECT pg_backend_pid()");
  const auto holders = upkeep.vacuum_holders(0s, 1'000'000);
  REQUIRE(holders.size() == 1);
  CHECK(holders[0].kind == "transaction");
  CHECK(holders[0].name == "pid " + pid);
  CHECK(holders[0].user == bench.db.sql("SELECT current_user"));
  CHECK(holders[0].application == "forgotten report");
  CHECK(holders[0].seconds.value_or(-1) >= 0);
  CHECK(upkeep.vacuum_holders(1h, 1'000'000).empty());
  session.sql("COMMIT");
  CHECK(upkeep.vacuum_holders(0s, 1'000'000).empty());
}

TEST_CASE("an open transaction that only read and holds no snapshot holds nothing back") {
  Bench bench;
  Session session(bench.db);
  session.sql("BEGIN");
  session.sql("SELECT 1");
  CHECK(Upkeep(bench.db.options()).vacuum_holders(0s, 1'000'000).empty());
  session.sql("COMMIT");
}

TEST_CASE("a transaction of another database of the server holds nothing back here") {
  Bench bench;
  const TestDatabase other;
  Session session(other);
  session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ");
  session.sql("SELECT 1");
  CHECK(Upkeep(bench.db.options()).vacuum_holders(0s, 1'000'000).empty());
}

TEST_CASE("a prepared transaction that nobody ends is named") {
  Bench bench;
  Session session(bench.db);
  session.sql("BEGIN");
  session.sql("CREATE TABLE in_doubt ()");
  session.sql("PREPARE TRANSACTION 'left behind " + bench.db.name() + "'");
  const auto holders = Upkeep(bench.db.options()).vacuum_holders(0s, 1'000'000);
  session.sql("ROLLBACK PREPARED 'left behind " + bench.db.name() + "'");
  REQUIRE(holders.size() == 1);
  CHECK(holders[0].kind == "prepared");
  CHECK(holders[0].name == "left behind " + bench.db.name());
}

TEST_CASE("a replication slot that nobody reads is named by how far it is behind") {
  Bench bench;
  const std::string slot = bench.db.name() + "_slot";
  // A slot of a logical subscriber that went away, as test_decoding's.
  bench.db.sql("SELECT pg_create_logical_replication_slot('" + slot + "', 'test_decoding')");
  bench.db.sql("SELECT pg_current_xact_id()");
  bench.db.sql("SELECT pg_current_xact_id()");
  Upkeep upkeep(bench.db.options());
  const auto holders = upkeep.vacuum_holders(1h, 1);
  const auto patient = upkeep.vacuum_holders(1h, 1'000'000'000);
  bench.db.sql("SELECT pg_drop_replication_slot('" + slot + "')");
  REQUIRE(holders.size() == 1);
  CHECK(holders[0].kind == "slot");
  CHECK(holders[0].name == slot);
  CHECK_FALSE(holders[0].seconds);
  CHECK(holders[0].transactions >= 2);
  CHECK(patient.empty());
}

TEST_CASE("the hot table's dead rows are counted") {
  Bench bench;
  bench.publish("a");
  bench.db.sql("ALTER TABLE zipmodule.job SET (autovacuum_enabled = false)");
  Session reader(bench.db);  // keeps the server from removing them on the way
  reader.sql("BEGIN ISOLATION LEVEL REPEATABLE READ");
  reader.sql("SELECT 1");
  for (int i = 0; i < 3; ++i) bench.db.sql("UPDATE zipmodule.job SET priority = priority + 1");
  Upkeep upkeep(bench.db.options());
  wait_until([&] { return upkeep.hot_table().dead == 3; });
  CHECK(upkeep.hot_table().live == 1);
  CHECK(upkeep.hot_table().bytes > 0);
}

TEST_CASE("a statement that takes longer than the patience ends") {
  Bench bench;
  Session locker(bench.db);
  locker.sql("BEGIN");
  locker.sql("LOCK TABLE zipmodule.job");
  CHECK_THROWS_AS(Upkeep(bench.db.options(), 100ms).gauges(), Error);
  locker.sql("ROLLBACK");
  CHECK_NOTHROW(Upkeep(bench.db.options(), 10s).gauges());
}

TEST_CASE("pruning runs goes on behind a batch of which every one has to stay") {
  Bench bench;
  bench.db.sql("UPDATE zipmodule.run SET started_at = started_at - interval '1 year'");
  for (int host = 0; host < 12; ++host) add_runs(bench, fmt::format("host-{}:/store", host), 1, 200);
  add_runs(bench, "host-b:/store", 20, 200);
  CHECK(Upkeep(bench.db.options()).prune_runs(k_days(90), 5, k_always) == 19);
}
