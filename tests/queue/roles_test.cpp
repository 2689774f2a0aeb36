#include "base/error.hpp"
#include "queue/deliveries.hpp"
#include "queue/fixture.hpp"
#include "queue/migrations.hpp"
#include "queue/reader.hpp"
#include "queue/upkeep.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;
using namespace std::chrono_literals;

namespace {

// A login that is a member of one of the group roles. Roles belong to the cluster, so its name is the database's.
class Login {
 public:
  Login(const TestDatabase& db, const std::string& group) : db_(db), name_(db.name() + "_login") {
    db.sql("CREATE ROLE " + name_ + " LOGIN");
    if (!group.empty()) db.sql("GRANT " + group + " TO " + name_);
  }
  ~Login() {
    try {
      db_.sql("DROP OWNED BY " + name_);
      db_.sql("DROP ROLE " + name_);
    } catch (const std::exception&) {  // a leftover role of a test cluster hurts nobody
    }
  }
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;
  const std::string& name() const { return name_; }

  bool may(const std::string& statement) const {
    try {
      db_.sql(statement, name_);
    } catch (const std::exception& error) {
      if (std::string(error.what()).find("permission denied") == std::string::npos) throw;
      return false;
    }
    return true;
  }

 private:
  const TestDatabase& db_;
  std::string name_;
};

const std::vector<std::string> k_tables{
    "job",      "build",           "telemetry",         "run", "instance", "job_status", "telemetry_daily",
    "delivery", "delivery_status", "delivery_telemetry"};
const std::string k_publish = "SELECT * FROM zipmodule.publish('s', 'a', '[{\"source\": \"x\"}]')";

}  // namespace

TEST_CASE("a publisher may publish, cancel, see a status and insert publications, and nothing else") {
  Bench bench;
  const Login login(bench.db, "zipmodule_publisher");
  CHECK(login.may(k_publish));
  CHECK(login.may("SELECT * FROM zipmodule.status('s', 'a')"));
  CHECK(login.may("SELECT zipmodule.cancel('s', 'a')"));
  CHECK(
      login.may("INSERT INTO zipmodule.publication (series, archive, files) VALUES ('s', 'b', '[{\"source\": \"x\"}]') "
                "RETURNING job_id, revision"));
  for (const auto& table : k_tables) CHECK_FALSE(login.may("SELECT * FROM zipmodule." + table));
  CHECK_NOTHROW(require_current_schema(bench.db.options(login.name())));
  CHECK_FALSE(login.may("SELECT files FROM zipmodule.publication"));
  CHECK_FALSE(login.may("UPDATE zipmodule.publication SET priority = 1"));
  CHECK_FALSE(login.may("UPDATE zipmodule.job SET priority = 1"));
  CHECK_FALSE(login.may("SELECT zipmodule.retry('s', 'a')"));
  CHECK_FALSE(login.may("SELECT zipmodule.prune('1 day')"));
}

TEST_CASE("an operator reads, retries and cancels, and changes no row himself") {
  Bench bench;
  const Login login(bench.db, "zipmodule_operator");
  for (const char* seen : {"job_status", "publication", "telemetry", "telemetry_daily", "telemetry_slowest", "run",
                           "hosts", "delivery", "delivery_status", "delivery_telemetry"}) {
    CHECK(login.may(std::string("SELECT * FROM zipmodule.") + seen));
  }
  CHECK(login.may("SELECT zipmodule.retry('s', 'a')"));
  CHECK(login.may("SELECT zipmodule.cancel('s', 'a')"));
  CHECK_FALSE(login.may(k_publish));
  CHECK(Reader(bench.db.options(login.name())).status(std::nullopt, std::nullopt).empty());
  CHECK_FALSE(Reader(bench.db.options(login.name())).detail("s", "a"));
  CHECK(Reader(bench.db.options(login.name())).stores_without_host().empty());
  CHECK_FALSE(login.may("UPDATE zipmodule.job SET priority = 1"));
  CHECK_FALSE(login.may("DELETE FROM zipmodule.telemetry"));
  CHECK_FALSE(login.may("UPDATE zipmodule.run SET outcome = 'x'"));
  CHECK_FALSE(login.may("UPDATE zipmodule.delivery SET attempts = 0"));
  CHECK_FALSE(login.may("DELETE FROM zipmodule.delivery"));
}

TEST_CASE("a login without any of the roles may do nothing") {
  Bench bench;
  const Login login(bench.db, "");
  CHECK_FALSE(login.may(k_publish));
  CHECK_FALSE(login.may("SELECT * FROM zipmodule.job_status"));
}

TEST_CASE("a worker's rights suffice for everything a run, a status and an explain do") {
  Bench bench;
  const Login login(bench.db, "zipmodule_worker");
  CHECK_NOTHROW(require_current_schema(bench.db.options(login.name())));
  for (const char* archive : {"a", "b", "c", "d"}) bench.publish(archive);
  Worker worker(bench.options("host-a", login.name()));
  const auto run = worker.begin_run(1, "test", token_of(1)).run_id;
  CHECK(worker.peek(10).size() == 4);
  const auto jobs = worker.claim(run, 4);
  REQUIRE(jobs.size() == 4);
  CHECK(worker.extend({{jobs[0].lease, 0.5}}) == std::vector<LeaseState>{LeaseState::held});
  CHECK(worker.commit(run, {completion_of(jobs[0].lease, 1)}) == std::vector<bool>{true});
  CHECK(worker.release({jobs[0].lease}) == std::vector<bool>{true});
  CHECK(worker.fail(run, {failure_of(jobs[1].lease)}) == std::vector<bool>{true});
  CHECK(worker.release_unbuilt(run, {attempt_at(jobs[2].lease)}) == std::vector<bool>{true});
  worker.give_back(run, {attempt_at(jobs[3].lease)});
  worker.claim(run, 1);
  bench.let_leases_expire();
  worker.claim(run, 1);
  const auto next = worker.begin_run(1, "test", token_of(1)).run_id;
  CHECK(worker.recover(next) == 1);
  const auto known = worker.builds_after("", 10);
  REQUIRE(known.size() == 1);
  CHECK(worker.current(jobs[0].lease.job_id).has_value());
  CHECK(worker.known_builds({known[0].build.build_id}).size() == 1);
  worker.set_audit_cursor(worker.audit_cursor());
  worker.note_mtime(known[0].build.build_id, 1);
  CHECK(worker.forget_build(next, known[0].build.build_id, "test") == Forgotten::rebuilds);
  CHECK(worker.collect_garbage(0s, 10).empty());  // kept while its job has no other build
  worker.remove_builds({known[0].build.build_id});
  worker.finish_run(next, {1, 1, 0, "done"});
  Reader reader(bench.db.options(login.name()));
  CHECK(reader.detail("s", "a").has_value());
  CHECK(reader.health().server_version > 0);
  CHECK(reader.stores_without_host().empty());
  Upkeep upkeep(bench.db.options(login.name()));
  CHECK(upkeep.begin(1h));
  CHECK(upkeep.prune_telemetry(24h, 10, [] { return true; }) == 0);
  CHECK(upkeep.prune_runs(24h, 10, [] { return true; }) == 0);
  upkeep.gauges();
  upkeep.hot_table();

  CHECK_FALSE(login.may("DELETE FROM zipmodule.job"));
  CHECK_FALSE(login.may("DELETE FROM zipmodule.telemetry"));
  CHECK_FALSE(login.may("DELETE FROM zipmodule.run"));
  CHECK_FALSE(login.may("UPDATE zipmodule.telemetry SET files = 0"));
}

TEST_CASE("a worker's rights suffice for everything that deliveries do") {
  Bench bench({}, {{"mirror", true}});
  const Login login(bench.db, "zipmodule_worker");
  const WorkerOptions options = bench.options("host-a", login.name());
  Worker worker(options);
  const auto run = bench.run = worker.begin_run(1, "test", token_of(1)).run_id;
  for (int number = 1; number <= 2; ++number) {
    bench.publish("a");
    const Lease lease = bench.claim_one().lease;
    CHECK(worker.commit(run, {completion_of(lease, number)}) == std::vector<bool>{true});
    CHECK(worker.release({lease}) == std::vector<bool>{true});
  }
  WorkerOptions changed = options;
  changed.targets = {{"mirror", true}, {"second", false}};
  Worker(changed).begin_run(2, "test", token_of(2));
  Deliveries deliveries(changed);
  CHECK_FALSE(deliveries.add_backlog(10));
  CHECK(deliveries.due("second", {}, 10).size() == 1);
  const auto due = deliveries.due("mirror", {}, 10);
  REQUIRE(due.size() == 1);
  const auto disputed = deliveries.wanted(due[0]);
  REQUIRE(disputed);
  DeliveryAttempt attempt;
  attempt.disputed = *disputed;
  attempt.delivery = due[0];
  attempt.outcome = DeliveryOutcome::retry;
  CHECK(deliveries.end(run, attempt) == DeliveryOutcome::retry);
  attempt.outcome = DeliveryOutcome::done;
  CHECK(deliveries.end(run, attempt) == DeliveryOutcome::done);
  const auto retired = deliveries.retired("mirror", {}, 0s, 10);
  REQUIRE(retired.size() == 1);
  attempt.delivery = retired[0];
  attempt.outcome = DeliveryOutcome::removed;
  CHECK(deliveries.end(run, attempt) == DeliveryOutcome::removed);
  CHECK(Upkeep(bench.db.options(login.name())).prune_deliveries(24h, 10, [] { return true; }) == 0);
  const auto detail = Reader(bench.db.options(login.name())).detail("s", "a");
  REQUIRE(detail);
  CHECK(detail->deliveries.size() == 2);
  CHECK_FALSE(login.may("UPDATE zipmodule.delivery_telemetry SET bytes = 0"));
  CHECK_FALSE(login.may("DELETE FROM zipmodule.delivery_telemetry"));
}

TEST_CASE("worker and operator see what holds vacuum back, in sessions of others too, and not what these do") {
  Bench bench;
  Session session(bench.db);
  session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ");
  const auto pid = session.sql("SELECT pg_backend_pid()");
  for (const char* group : {"zipmodule_worker", "zipmodule_operator"}) {
    const Login login(bench.db, group);
    Upkeep upkeep(bench.db.options(login.name()));
    CHECK(upkeep.sessions().all_seen);
    const auto holders = upkeep.vacuum_holders(0s, 1'000'000);
    REQUIRE(holders.size() == 1);
    CHECK(holders[0].name == "pid " + pid);
    CHECK(bench.db.sql("SELECT query FROM pg_stat_activity WHERE pid = " + pid, login.name()) ==
          "<insufficient privilege>");
    CHECK(upkeep.prune_telemetry(24h, 10, [] { return true; }) == 0);
    upkeep.gauges();
    upkeep.hot_table();
  }
  const Login publisher(bench.db, "zipmodule_publisher");
  CHECK_FALSE(publisher.may("SELECT * FROM zipmodule.vacuum_holders()"));
  CHECK_FALSE(publisher.may("SELECT * FROM zipmodule.prune_telemetry('1 day', 0, 10)"));
  CHECK_FALSE(publisher.may("SELECT * FROM zipmodule.prune_runs('1 day', 0, 10)"));
}

TEST_CASE("where the schema's owner may not see other sessions, that is told, with who it is") {
  TestDatabase db(TestDatabase::Schema::none);
  const Login owner(db, "");
  db.sql("GRANT CREATE ON DATABASE " + db.name() + " TO " + owner.name());
  migrate(db.options(owner.name()), false);
  Session session(db);
  session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ");
  session.sql("SELECT 1");
  Upkeep upkeep(db.options());
  CHECK(upkeep.vacuum_holders(0s, 1'000'000).empty());
  CHECK_FALSE(upkeep.sessions().all_seen);
  CHECK(upkeep.sessions().owner == owner.name());
  db.sql("GRANT pg_read_all_stats TO " + owner.name());
  CHECK(upkeep.sessions().all_seen);
  CHECK(upkeep.vacuum_holders(0s, 1'000'000).size() == 1);
}

TEST_CASE("a missing right is a setup error that says what to grant") {
  Bench bench;
  const Login login(bench.db, "zipmodule_worker");
  try {
    Publisher(bench.db.options(login.name())).publish({"s", "a", k_files, {}});
    FAIL("published without the right to");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.what(), Catch::Contains("permission denied for function publish"));
    CHECK_THAT(error.hint(), Catch::Contains("GRANT"));
  }
}

TEST_CASE("migrating without the right to create in the database says so") {
  TestDatabase db(TestDatabase::Schema::none);
  const Login login(db, "");
  try {
    migrate(db.options(login.name()), false);
    FAIL("migrated without the right to");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.what(), Catch::Contains("permission denied for database"));
  }
}

TEST_CASE("the owner of a database may migrate it without being a superuser, once the roles exist") {
  const TestDatabase first;  // makes the roles
  TestDatabase db(TestDatabase::Schema::none);
  const Login login(db, "");
  db.sql("GRANT CREATE ON DATABASE " + db.name() + " TO " + login.name());
  CHECK(static_cast<int>(migrate(db.options(login.name()), false).size()) == known_schema_version());
}

TEST_CASE("what somebody creates in the schema public takes no part in a worker's statements") {
  Bench bench;
  bench.db.sql(
      "CREATE FUNCTION public.evil(integer, integer) RETURNS double precision LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE 'evil was called'; END $$; "
      "CREATE OPERATOR public.^ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = public.evil); "
      "CREATE FUNCTION public.format(text, text, timestamptz) RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE 'evil was called'; END $$; "
      "CREATE FUNCTION public.pg_advisory_xact_lock(integer) RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE 'evil was called'; END $$;");
  bench.publish("a");
  const Lease lease = bench.claim_one().lease;
  CHECK_NOTHROW(bench.worker.fail(bench.run, {failure_of(lease)}));
  bench.make_due();
  bench.claim_one();
  bench.let_leases_expire();
  CHECK_NOTHROW(bench.worker.claim(bench.run, 1));
  CHECK_NOTHROW(migrate(bench.db.options(), false));
}
