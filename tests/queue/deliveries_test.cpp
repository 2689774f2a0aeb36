#include <algorithm>

#include "queue/deliveries.hpp"

#include "queue/fixture.hpp"
#include "queue/reader.hpp"
#include "queue/upkeep.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;
using namespace std::chrono_literals;

namespace {

using Numbers = std::vector<int>;

const std::vector<DeliveryTarget> k_targets{{"mirror", true}, {"second", false}};

std::string id_of(int number) { return fmt::format("{:032x}", number); }

// A bench whose builds are known by their numbers.
struct Depot : Bench {
  explicit Depot(std::vector<DeliveryTarget> to = k_targets) : Bench({}, std::move(to)) {}

  void build(int number, const std::string& archive = "a", const std::map<std::string, std::string>& with = {}) {
    publish(archive, with);
    build_next(*this, number);
  }

  Numbers due(const std::string& target, const Numbers& under_way = {}, std::size_t most = 100) {
    return numbers_of(deliveries.due(target, ids_of(under_way), most));
  }
  Numbers retired(const std::string& target, std::chrono::seconds grace = 0s, const Numbers& under_way = {},
                  std::size_t most = 100) {
    return numbers_of(deliveries.retired(target, ids_of(under_way), grace, most));
  }

  static DeliveryAttempt attempt(int number, const std::string& target, DeliveryOutcome outcome) {
    DeliveryAttempt attempt;
    attempt.delivery.build_id = id_of(number);
    attempt.delivery.target = target;
    attempt.outcome = outcome;
    if (outcome == DeliveryOutcome::retry) {
      attempt.error_kind = "target_unreachable";
      attempt.error = "it does not answer";
    }
    return attempt;
  }
  DeliveryOutcome end(int number, const std::string& target, DeliveryOutcome outcome, bool switched = true) {
    auto ended = attempt(number, target, outcome);
    ended.switched = switched;
    return deliveries.end(run, ended);
  }
  bool deliver(int number, const std::string& target) {
    return end(number, target, DeliveryOutcome::done) == DeliveryOutcome::done;
  }

  // "1 mirror pending!": the number of the build, the target, the state, and whether somebody waits for it.
  std::string states() const {
    return db.sql(
        "SELECT coalesce(string_agg(ltrim(build_id, '0') || ' ' || target || ' ' || state || "
        "CASE WHEN required THEN '!' ELSE '' END, ', ' ORDER BY build_id, target), '') FROM zipmodule.delivery_status");
  }
  std::string delivery(const std::string& expression, int number, const std::string& target) const {
    return db.sql(fmt::format("SELECT {} FROM zipmodule.delivery WHERE build_id = '{}' AND target = '{}'", expression,
                              id_of(number), target));
  }
  std::string told(const std::string& expression) const {
    return db.sql(fmt::format("SELECT coalesce(string_agg({}, ', ' ORDER BY id), '') FROM zipmodule.delivery_telemetry",
                              expression));
  }
  double due_in(int number, const std::string& target) const {
    return std::stod(delivery("extract(epoch FROM due_at - clock_timestamp())", number, target));
  }
  void set(const std::string& change, const std::string& where = "true") const {
    db.sql(fmt::format("UPDATE zipmodule.delivery SET {} WHERE {}", change, where));
  }
  // A new run of the same instance, with other targets.
  void begin_run_with(const std::vector<DeliveryTarget>& changed) const {
    WorkerOptions next = options("host-a");
    next.targets = changed;
    Worker(next).begin_run(2, "test", token_of(2));
    Deliveries backlog(next);
    while (!changed.empty() && backlog.add_backlog(1)) {
    }
  }

  static std::vector<std::string> ids_of(const Numbers& numbers) {
    std::vector<std::string> ids;
    for (const int number : numbers) ids.push_back(id_of(number));
    return ids;
  }
  static Numbers numbers_of(const std::vector<Delivery>& list) {
    Numbers numbers;
    for (const auto& one : list) numbers.push_back(std::stoi(one.build_id, nullptr, 16));
    return numbers;
  }

  Deliveries deliveries{options("host-a")};
};

}  // namespace

// --- noting --------------------------------------------------------------------------------------------------------

TEST_CASE("a commit notes deliveries to the targets that its job wants and its builder has, and to no others") {
  Depot depot;
  const auto [deliver, expected] = GENERATE(table<const char*, const char*>({
      {nullptr, "1 mirror pending!, 1 second pending"},
      {"{}", ""},
      {"{second}", "1 second pending"},
      {"{second,mirror}", "1 mirror pending!, 1 second pending"},
      {"{elsewhere,mirror}", "1 mirror pending!"},
      {"{elsewhere}", ""},
  }));
  CAPTURE(expected);
  std::map<std::string, std::string> with;
  if (deliver != nullptr) with["deliver"] = deliver;
  depot.build(1, "a", with);
  CHECK(depot.states() == expected);
}

TEST_CASE("nothing is noted where a builder has no targets, or a commit stores nothing") {
  Depot depot(GENERATE(std::vector<DeliveryTarget>{}, k_targets));
  depot.publish("a");
  const Lease lease = depot.claim_one().lease;
  Publisher(depot.db.options()).cancel("s", "a");
  CHECK(depot.worker.commit(depot.run, {completion_of(lease, 1)}) == std::vector<bool>{false});
  CHECK(depot.states().empty());
  if (!depot.targets.empty()) return;
  depot.build(2);
  CHECK(depot.states().empty());
}

TEST_CASE("several builds of one commit are each noted for their own targets") {
  Depot depot;
  depot.publish("a", {{"deliver", "{mirror}"}});
  depot.publish("b", {{"deliver", "{}"}});
  depot.publish("c", {{"deliver", "{second}"}});
  std::vector<Completion> completions;
  for (const auto& job : depot.worker.claim(depot.run, 3)) {
    completions.push_back(completion_of(job.lease, job.archive[0] - 'a' + 1));
  }
  REQUIRE(depot.worker.commit(depot.run, completions) == std::vector<bool>{true, true, true});
  CHECK(depot.states() == "1 mirror pending!, 3 second pending");
}

TEST_CASE("a commit that is done again, as after a lost answer, notes nothing anew") {
  Depot depot;
  depot.publish("a");
  const Lease lease = depot.claim_one().lease;
  REQUIRE(depot.worker.commit(depot.run, {completion_of(lease, 1)}) == std::vector<bool>{true});
  CHECK(depot.deliver(1, "mirror"));
  CHECK(depot.worker.commit(depot.run, {completion_of(lease, 1)}) == std::vector<bool>{true});
  CHECK(depot.states() == "1 mirror delivered!, 1 second pending");
}

// --- what is due ---------------------------------------------------------------------------------------------------

TEST_CASE("what is due has all that a delivery needs") {
  Depot depot;
  depot.build(1);
  const auto due = depot.deliveries.due("mirror", {}, 10);
  REQUIRE(due.size() == 1);
  CHECK(due[0].build_id == id_of(1));
  CHECK(due[0].target == "mirror");
  CHECK(std::to_string(due[0].job_id) == depot.job("job_id"));
  CHECK(due[0].series == "s");
  CHECK(due[0].archive == "a");
  CHECK(due[0].build_id == id_of(1));
  CHECK(due[0].size_bytes == 1000);
  CHECK(depot.deliveries.wanted(due[0]).has_value());
}

TEST_CASE("what has been due longest comes first, without what is under way, at most so many, and only what is due") {
  Depot depot;
  for (int i = 1; i <= 4; ++i) depot.build(i, fmt::format("a{}", i));
  for (int i = 1; i <= 4; ++i) {
    depot.set(fmt::format("due_at = statement_timestamp() - interval '{} seconds'", i == 3 ? 100 : i * 10),
              fmt::format("build_id = '{}'", id_of(i)));
  }
  CHECK(depot.due("mirror") == Numbers{3, 4, 2, 1});
  CHECK(depot.due("mirror", {3, 2}) == Numbers{4, 1});
  CHECK(depot.due("mirror", {}, 2) == Numbers{3, 4});
  CHECK(depot.due("mirror", {3}, 2) == Numbers{4, 2});
  CHECK(depot.due("elsewhere").empty());
  depot.set("due_at = statement_timestamp() + interval '1 minute'",
            fmt::format("target = 'mirror' AND build_id = '{}'", id_of(4)));
  CHECK(depot.due("mirror") == Numbers{3, 2, 1});
  CHECK(depot.due("second") == Numbers{3, 4, 2, 1});
  CHECK(Deliveries(depot.options("host-b")).due("mirror", {}, 10).empty());
}

// --- how attempts end ----------------------------------------------------------------------------------------------

TEST_CASE("a delivery that is done is due no more, and its errors are forgotten") {
  Depot depot;
  depot.build(1);
  depot.end(1, "mirror", DeliveryOutcome::retry);
  CHECK(depot.delivery("concat_ws(' ', attempts, last_error_kind, last_error)", 1, "mirror") ==
        "1 target_unreachable it does not answer");
  CHECK(depot.deliver(1, "mirror"));
  CHECK(depot.states() == "1 mirror delivered!, 1 second pending");
  CHECK(depot.delivery("concat_ws(' ', attempts, last_error_kind, last_error)", 1, "mirror") == "0");
  CHECK(depot.due("mirror").empty());
  CHECK(depot.due("second") == Numbers{1});
}

TEST_CASE("every attempt is a row of telemetry with what was measured") {
  Depot depot;
  depot.build(1);
  depot.set("due_at = statement_timestamp() - interval '100 seconds'");
  depot.db.sql("UPDATE zipmodule.job SET published_at = statement_timestamp() - interval '200 seconds'");
  auto done = Depot::attempt(1, "mirror", DeliveryOutcome::done);
  done.seconds = 40;
  done.upload_seconds = 30;
  done.switch_seconds = 0.5;
  done.bytes_sent = 900;
  depot.deliveries.end(depot.run, done);
  depot.end(1, "second", DeliveryOutcome::retry);
  CHECK(depot.told("concat_ws(' ', target, attempt, outcome, error_kind, error, upload_seconds, switch_seconds, bytes, "
                   "bytes_sent)") ==
        "mirror 1 done 30 0.5 1000 900, second 1 retry target_unreachable it does not answer 0 0 1000 0");
  CHECK(depot.told("concat_ws(' ', run_id, job_id, host, series, archive, revision, ltrim(build_id, '0'))") ==
        fmt::format("{0} {1} host-a s a 1 1, {0} {1} host-a s a 1 1", depot.run, depot.job("job_id")));
  CHECK(depot.told("(wait_seconds BETWEEN 60 AND 90)::text") == "true, false");
  CHECK(depot.told("(total_seconds BETWEEN 200 AND 230)::text") == "true");
  CHECK(depot.told("(finished_at - started_at = interval '40 seconds')::text") == "true, false");
}

TEST_CASE("what went wrong is stored whatever bytes it has, and so much of it") {
  Depot depot;
  depot.build(1);
  auto attempt = Depot::attempt(1, "mirror", DeliveryOutcome::retry);
  attempt.error = std::string("a\xff\0b", 4) + std::string(10'000, 'x');
  depot.deliveries.end(depot.run, attempt);
  CHECK(depot.delivery("length(last_error)", 1, "mirror") == "4000");
  CHECK(depot.told("length(error)::text") == "4000");
}

TEST_CASE("a delivery that failed is tried again after a pause that doubles up to an hour") {
  Depot depot;
  depot.build(1);
  for (const int seconds : {10, 20, 40, 80}) {
    depot.end(1, "mirror", DeliveryOutcome::retry);
    CAPTURE(seconds);
    CHECK(depot.due_in(1, "mirror") > seconds - 5);
    CHECK(depot.due_in(1, "mirror") <= seconds * 1.1);
  }
  CHECK(depot.due("mirror").empty());
  CHECK(depot.due("second") == Numbers{1});
  CHECK(depot.told("attempt::text") == "1, 2, 3, 4");
  for (const int attempts : {9, 10, 2'000'000}) {
    depot.set(fmt::format("attempts = {}", attempts));
    depot.end(1, "mirror", DeliveryOutcome::retry);
    CHECK(depot.due_in(1, "mirror") > 3595);
    CHECK(depot.due_in(1, "mirror") <= 3960);
  }
}

TEST_CASE("whoever knows better when to try again is believed") {
  Depot depot;
  depot.build(1);
  auto attempt = Depot::attempt(1, "mirror", DeliveryOutcome::retry);
  attempt.retry_after_seconds = 1'000;
  depot.deliveries.end(depot.run, attempt);
  CHECK(depot.due_in(1, "mirror") > 990);
  CHECK(depot.due_in(1, "mirror") <= 1'000);
  attempt.retry_after_seconds = 0;
  depot.deliveries.end(depot.run, attempt);
  CHECK(depot.due("mirror") == Numbers{1});
  CHECK(depot.delivery("attempts", 1, "mirror") == "2");
}

TEST_CASE("a retry makes what waits due at once, with its pauses at their beginning, and builds nothing") {
  Depot depot;
  depot.build(1);
  depot.build(2, "b");
  for (int i = 0; i < 5; ++i) {
    depot.end(1, "mirror", DeliveryOutcome::retry);
    depot.end(2, "mirror", DeliveryOutcome::retry);
  }
  Publisher publisher(depot.db.options());
  CHECK(publisher.retry("s", "a"));
  auto again = depot.due("mirror");  // the target is asked again, for all
  std::sort(again.begin(), again.end());
  CHECK(again == Numbers{1, 2});
  CHECK(depot.delivery("attempts", 1, "mirror") == "0");
  CHECK(depot.delivery("attempts", 2, "mirror") == "0");
  CHECK(depot.worker.claim(depot.run, 10).empty());
  CHECK_FALSE(publisher.retry("s", "a"));
  depot.end(1, "mirror", DeliveryOutcome::retry);
  CHECK(depot.due_in(1, "mirror") < 12);
}

TEST_CASE("the end of a delivery that nobody knows is superseded, and tells nothing") {
  Depot depot;
  depot.build(1);
  CHECK(depot.end(7, "mirror", DeliveryOutcome::done) == DeliveryOutcome::superseded);
  CHECK(depot.end(1, "elsewhere", DeliveryOutcome::retry) == DeliveryOutcome::superseded);
  CHECK(depot.told("outcome").empty());
  CHECK(depot.states() == "1 mirror pending!, 1 second pending");
}

// --- newer builds --------------------------------------------------------------------------------------------------

TEST_CASE("a newer build retires copies that never arrived at once, and others when it is there itself") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.deliver(1, "mirror"));
  depot.build(2);
  CHECK(depot.states() == "1 mirror delivered!, 1 second retired, 2 mirror pending!, 2 second pending");
  CHECK(depot.due("mirror") == Numbers{2});
  depot.end(2, "mirror", DeliveryOutcome::retry);
  CHECK(depot.retired("mirror").empty());
  REQUIRE(depot.deliver(2, "mirror"));
  CHECK(depot.states() == "1 mirror retired!, 1 second retired, 2 mirror delivered!, 2 second pending");
  CHECK(depot.retired("mirror") == Numbers{1});
}

TEST_CASE("a delivery that arrives behind a newer build is superseded") {
  Depot depot;
  depot.build(1);
  const auto old = depot.deliveries.due("mirror", {}, 1);
  REQUIRE(old.size() == 1);
  depot.build(2);
  CHECK_FALSE(depot.deliveries.wanted(old[0]).has_value());
  CHECK(depot.deliveries.wanted(depot.deliveries.due("mirror", {}, 1).at(0)).has_value());
  CHECK(depot.end(1, "mirror", DeliveryOutcome::done) == DeliveryOutcome::superseded);
  CHECK(depot.delivery("delivered_at IS NULL AND retired_at IS NOT NULL", 1, "mirror") == "t");
  CHECK(depot.due("mirror") == Numbers{2});
  CHECK(depot.told("concat_ws(' ', outcome, total_seconds)") == "superseded");
}

TEST_CASE("where a name was switched to an older build behind its back, the current one is due again") {
  Depot depot;
  const bool switched = GENERATE(false, true);
  // A retry: nobody knows what became of the switch, as when its answer was lost.
  const auto outcome = GENERATE(DeliveryOutcome::done, DeliveryOutcome::superseded, DeliveryOutcome::retry);
  CAPTURE(switched, outcome);
  depot.build(1);
  depot.build(2);
  REQUIRE(depot.deliver(2, "mirror"));
  REQUIRE(depot.deliver(2, "second"));
  CHECK(depot.end(1, "mirror", outcome, switched) ==
        (outcome == DeliveryOutcome::retry ? outcome : DeliveryOutcome::superseded));
  CHECK(depot.due("mirror") == (switched ? Numbers{2} : Numbers{}));
  CHECK(depot.due("second").empty());
  CHECK(depot.state() == (switched ? "delivering" : "done"));
  CHECK(depot.states() == fmt::format("1 mirror retired!, 1 second retired, 2 mirror {}!, 2 second delivered",
                                      switched ? "pending" : "delivered"));
}

TEST_CASE("a newer build of another host's store retires what was not delivered too") {
  Depot depot;
  depot.build(1);
  Worker other(depot.options("host-b"));
  const auto run = other.begin_run(1, "test", token_of(1)).run_id;
  depot.publish("a");
  const auto jobs = other.claim(run, 1);
  REQUIRE(jobs.size() == 1);
  REQUIRE(other.commit(run, {completion_of(jobs[0].lease, 2)}) == std::vector<bool>{true});
  CHECK(depot.due("mirror").empty());
  Deliveries theirs(depot.options("host-b"));
  CHECK(Depot::numbers_of(theirs.due("mirror", {}, 10)) == Numbers{2});
  CHECK(depot.states() == "1 mirror retired!, 1 second retired, 2 mirror pending!, 2 second pending");
}

TEST_CASE("a build that was found damaged is not delivered, nor what is under way taken for the current one") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.worker.forget_build(depot.run, id_of(1), "damaged") == Forgotten::rebuilds);
  CHECK(depot.due("mirror").empty());
  CHECK(depot.end(1, "mirror", DeliveryOutcome::done) == DeliveryOutcome::superseded);
  build_next(depot, 2);
  CHECK(depot.due("mirror") == Numbers{2});
  CHECK(depot.states() == "1 mirror retired!, 1 second retired, 2 mirror pending!, 2 second pending");
}

TEST_CASE("a publish that changes nothing in the archive keeps its deliveries as they are") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.deliver(1, "mirror"));
  depot.end(1, "second", DeliveryOutcome::retry);
  const std::string before = depot.delivery("concat_ws(' ', due_at, attempts)", 1, "second");
  const std::string there = depot.delivery("delivered_at", 1, "mirror");
  depot.build(1);
  CHECK(depot.job("built_revision") == "2");
  CHECK(depot.states() == "1 mirror delivered!, 1 second waiting");
  CHECK(depot.delivery("concat_ws(' ', due_at, attempts)", 1, "second") == before);
  CHECK(depot.delivery("delivered_at", 1, "mirror") == there);
  CHECK(depot.state() == "done");
}

TEST_CASE("a publish that changes nothing but the targets takes copies away and brings them back") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.deliver(1, "mirror"));
  depot.end(1, "second", DeliveryOutcome::retry);
  depot.build(1, "a", {{"deliver", "{}"}});
  CHECK(depot.states() == "1 mirror retired!, 1 second retired");
  CHECK(depot.state() == "done");
  depot.build(1, "a", {{"deliver", "{mirror,second}"}});
  CHECK(depot.states() == "1 mirror pending!, 1 second pending");
  CHECK(depot.due("mirror") == Numbers{1});
  CHECK(depot.due("second") == Numbers{1});
  CHECK(depot.delivery("attempts", 1, "second") == "0");
  CHECK(depot.state() == "delivering");
}

TEST_CASE("whichever host records first, the newest build's link is switched last") {
  Depot depot;
  depot.build(1);
  depot.build(2);  // while 1 is on its way, and has been found wanted
  auto newer = Depot::attempt(2, "mirror", DeliveryOutcome::done);
  newer.disputed = *depot.deliveries.wanted(depot.deliveries.due("mirror", {}, 1).at(0));
  auto outcome = DeliveryOutcome::done;
  SECTION("the older one's switch went well") {}
  SECTION("its answer was lost") { outcome = DeliveryOutcome::retry; }
  CHECK(depot.end(1, "mirror", outcome) != DeliveryOutcome::done);
  // Whose switch came last, nobody can tell.
  CHECK(depot.deliveries.end(depot.run, newer) == DeliveryOutcome::superseded);
  CHECK(depot.due("mirror") == Numbers{2});
  newer.disputed = *depot.deliveries.wanted(depot.deliveries.due("mirror", {}, 1).at(0));
  CHECK(depot.deliveries.end(depot.run, newer) == DeliveryOutcome::done);
  CHECK(depot.due("mirror").empty());
}

TEST_CASE("a run that follows one that was killed switches again where that may have switched") {
  Depot depot;
  depot.build(1);
  depot.build(2);
  REQUIRE(depot.deliver(2, "mirror"));
  depot.begin_run_with(k_targets);  // the run before has not ended
  CHECK(depot.due("mirror") == Numbers{2});
}

// --- other targets -------------------------------------------------------------------------------------------------

TEST_CASE("a run with new targets has older builds delivered to them, the current ones only, and once") {
  Depot depot(std::vector<DeliveryTarget>{});
  depot.build(1);
  depot.build(2);
  depot.build(3, "b", {{"deliver", "{second}"}});
  depot.build(4, "c", {{"deliver", "{}"}});
  CHECK(depot.states().empty());
  depot.begin_run_with(k_targets);
  const std::string expected = "2 mirror pending!, 2 second pending, 3 second pending";
  CHECK(depot.states() == expected);
  CHECK(depot.state() == "delivering");
  CHECK(depot.state("b") == "done");
  REQUIRE(depot.deliver(2, "mirror"));
  depot.begin_run_with({k_targets[1], k_targets[0]});
  CHECK(depot.states() == "2 mirror delivered!, 2 second pending, 3 second pending");
  // The same targets are no reason to look at all builds.
  depot.db.sql("DELETE FROM zipmodule.delivery");
  depot.begin_run_with(k_targets);
  CHECK(depot.states().empty());
}

TEST_CASE("nobody waits for a target that is gone, and for one that is back everybody does") {
  Depot depot;
  depot.build(1);
  CHECK(depot.state() == "delivering");
  depot.begin_run_with({{"second", false}});
  CHECK(depot.states() == "1 mirror retired, 1 second pending");
  CHECK(depot.state() == "done");
  depot.begin_run_with({});
  CHECK(depot.states() == "1 mirror retired, 1 second retired");
  CHECK(depot.state() == "done");
  depot.begin_run_with({{"mirror", true}, {"second", true}});
  CHECK(depot.states() == "1 mirror pending!, 1 second pending!");
  CHECK(depot.state() == "delivering");
  depot.begin_run_with({{"mirror", false}, {"second", false}});
  CHECK(depot.states() == "1 mirror pending, 1 second pending");
}

TEST_CASE("what is at a target that is gone stays there, and is known when that is back") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.deliver(1, "mirror"));
  depot.begin_run_with({});
  CHECK(depot.states() == "1 mirror delivered!, 1 second retired");
  depot.begin_run_with(k_targets);
  CHECK(depot.states() == "1 mirror delivered!, 1 second pending");
}

TEST_CASE("what will not be delivered is not told as late") {
  Depot depot;
  Upkeep upkeep(depot.db.options());
  Reader reader(depot.db.options());
  const auto undelivered = [&] {
    CHECK(upkeep.gauges().undelivered == reader.health().undelivered);
    CHECK((upkeep.gauges().oldest_delivery_seconds > 90) == (reader.health().oldest_delivery_seconds > 90));
    return fmt::format("{}{}", upkeep.gauges().undelivered,
                       upkeep.gauges().oldest_delivery_seconds > 90 ? " late" : "");
  };
  depot.build(1);
  depot.set("created_at = created_at - interval '100 seconds'");
  CHECK(undelivered() == "2 late");
  SECTION("to a target that is gone") {
    depot.begin_run_with({{"second", false}});
    CHECK(undelivered() == "1 late");
    depot.begin_run_with({});
  }
  SECTION("behind a newer build of a host without targets") {
    depot.targets.clear();
    Worker other(depot.options("host-b"));
    const auto run = other.begin_run(1, "test", token_of(1)).run_id;
    depot.publish("a");
    const auto jobs = other.claim(run, 1);
    REQUIRE(jobs.size() == 1);
    REQUIRE(other.commit(run, {completion_of(jobs[0].lease, 2)}) == std::vector<bool>{true});
  }
  SECTION("of a build that is damaged") { depot.worker.forget_build(depot.run, id_of(1), "damaged"); }
  SECTION("because it is there") {
    REQUIRE(depot.deliver(1, "mirror"));
    REQUIRE(depot.deliver(1, "second"));
  }
  CHECK(undelivered() == "0");
}

TEST_CASE("a run of another store has nothing delivered that it does not have") {
  Depot depot(std::vector<DeliveryTarget>{});
  depot.build(1);
  WorkerOptions options = depot.options("host-b");
  options.targets = k_targets;
  Worker(options).begin_run(1, "test", token_of(1));
  CHECK(depot.states().empty());
}

// --- the job's state -----------------------------------------------------------------------------------------------

TEST_CASE("a job is delivering until the last of its required copies is there, and then done") {
  Depot depot({{"mirror", true}, {"other", true}, {"second", false}});
  depot.publish("a");
  const Lease lease = depot.claim_one().lease;
  depot.worker.commit(depot.run, {completion_of(lease, 1)});
  CHECK(depot.state() == "running");
  depot.worker.release({lease});
  CHECK(depot.state() == "delivering");
  CHECK(depot.db.sql("SELECT progress FROM zipmodule.job_status") == "1");
  CHECK(depot.db.sql("SELECT state FROM zipmodule.status('s', 'a')") == "delivering");
  REQUIRE(depot.deliver(1, "mirror"));
  depot.end(1, "other", DeliveryOutcome::retry);
  CHECK(depot.state() == "delivering");
  REQUIRE(depot.deliver(1, "other"));
  CHECK(depot.state() == "done");
  CHECK(depot.worker.claim(depot.run, 1).empty());
  depot.publish("a");
  CHECK(depot.state() == "pending");
}

TEST_CASE("a job whose copies nobody waits for is done when it is built") {
  Depot depot;
  depot.build(1, "a", {{"deliver", "{second}"}});
  CHECK(depot.states() == "1 second pending");
  CHECK(depot.state() == "done");
}

// --- removing ------------------------------------------------------------------------------------------------------

TEST_CASE("copies are removed after the grace time, those retired longest ago first") {
  Depot depot;
  for (int i = 1; i <= 3; ++i) depot.build(i);
  depot.build(4, "b");
  CHECK(depot.retired("mirror") == Numbers{1, 2});
  CHECK(depot.retired("mirror", 1h).empty());
  depot.set("retired_at = retired_at - interval '2 hours'", fmt::format("build_id = '{}'", id_of(2)));
  CHECK(depot.retired("mirror", 1h) == Numbers{2});
  CHECK(depot.retired("mirror") == Numbers{2, 1});
  CHECK(depot.retired("mirror", 0s, {2}) == Numbers{1});
  CHECK(depot.retired("mirror", 0s, {}, 1) == Numbers{2});
  CHECK(Deliveries(depot.options("host-b")).retired("mirror", {}, 0s, 10).empty());
  CHECK(depot.end(2, "mirror", DeliveryOutcome::removed, false) == DeliveryOutcome::removed);
  CHECK(depot.retired("mirror") == Numbers{1});
  CHECK(depot.retired("second") == Numbers{2, 1});
  CHECK(depot.told("concat_ws(' ', target, outcome, wait_seconds, total_seconds)") == "mirror removed");
}

TEST_CASE("a copy that could not be removed waits for its next try") {
  Depot depot;
  depot.build(1);
  depot.build(2);
  depot.end(1, "mirror", DeliveryOutcome::retry);
  CHECK(depot.retired("mirror").empty());
  depot.set("due_at = statement_timestamp()");
  CHECK(depot.retired("mirror") == Numbers{1});
  CHECK(depot.told("concat_ws(' ', outcome, wait_seconds)") == "retry");
}

TEST_CASE("where a removal took the name of the current build away, that is due again") {
  Depot depot;
  const bool switched = GENERATE(false, true);
  depot.build(1);
  depot.build(2);
  REQUIRE(depot.deliver(2, "mirror"));
  // Or took only the name, and failed then.
  const auto outcome = GENERATE(DeliveryOutcome::removed, DeliveryOutcome::retry);
  CHECK(depot.end(1, "mirror", outcome, switched) == outcome);
  CHECK(depot.due("mirror") == (switched ? Numbers{2} : Numbers{}));
}

TEST_CASE("a copy that is wanted again while it is removed is delivered again") {
  Depot depot;
  depot.build(1);
  REQUIRE(depot.deliver(1, "mirror"));
  depot.build(1, "a", {{"deliver", "{second}"}});
  REQUIRE(depot.retired("mirror") == Numbers{1});
  depot.build(1);
  depot.end(1, "mirror", DeliveryOutcome::removed);
  CHECK(depot.states() == "1 mirror pending!, 1 second pending");
  CHECK(depot.due("mirror") == Numbers{1});
}

TEST_CASE("a job that somebody removes has its copies removed, and nobody else's") {
  Depot depot;
  depot.build(1);
  depot.build(2, "b");
  REQUIRE(depot.deliver(1, "mirror"));
  depot.db.sql("DELETE FROM zipmodule.job WHERE archive = 'a'");
  CHECK(depot.states() == "1 mirror retired!, 1 second retired, 2 mirror pending!, 2 second pending");
  CHECK(depot.due("second") == Numbers{2});
  CHECK(depot.retired("mirror", 1h).empty());
  const auto retired = depot.deliveries.retired("mirror", {}, 0s, 10);
  REQUIRE(Depot::numbers_of(retired) == Numbers{1});
  CHECK(retired[0].archive == "a");
  CHECK_FALSE(depot.deliveries.wanted(retired[0]).has_value());
  // An upload that was under way meanwhile.
  CHECK(depot.end(1, "second", DeliveryOutcome::done) == DeliveryOutcome::superseded);
  for (const char* target : {"mirror", "second"}) depot.end(1, target, DeliveryOutcome::removed);
  CHECK(depot.states() == "2 mirror pending!, 2 second pending");
  CHECK(depot.told("concat_ws(' ', outcome, archive, revision)") == "done a 1, superseded a, removed a, removed a");
}

TEST_CASE("attempts of deliveries are pruned by their age, in batches") {
  Depot depot;
  depot.build(1);
  for (int i = 0; i < 5; ++i) depot.end(1, "mirror", DeliveryOutcome::retry);
  depot.db.sql(
      "UPDATE zipmodule.delivery_telemetry SET finished_at = finished_at - interval '2 days' WHERE attempt <= 3");
  Upkeep upkeep(depot.db.options());
  CHECK(upkeep.prune_deliveries(24h, 2, [] { return true; }) == 3);
  CHECK(depot.told("attempt::text") == "4, 5");
  depot.db.sql("SELECT zipmodule.prune('0 seconds')");
  CHECK(depot.told("attempt::text").empty());
}
