#include <algorithm>
#include <set>
#include <thread>

#include "queue/fixture.hpp"

using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

std::vector<std::string> archives_of(const std::vector<ClaimedJob>& jobs) {
  std::vector<std::string> archives;
  for (const auto& job : jobs) archives.push_back(job.archive);
  return archives;
}

using Names = std::vector<std::string>;

// Two claimed jobs; a publish of the first one's archive is in a transaction that has not ended.
struct LockedByPublisher {
  LockedByPublisher() {
    bench.publish("a", {}, "s1");
    bench.publish("b", {}, "s2");
    jobs = bench.worker.claim(bench.run, 2);
    publisher.sql("BEGIN");
    publisher.sql("SELECT zipmodule.publish('s1', 'a', '[{\"source\": \"x\"}]')");
  }

  Bench bench;
  std::vector<ClaimedJob> jobs;
  Session publisher{bench.db};
};

}  // namespace

TEST_CASE("a claim carries everything the job was published with") {
  Bench bench;
  bench.publish("a", {{"metadata", R"({"k": "v"})"}, {"on_missing", "skip"}, {"level", "small"}});
  const auto job = bench.claim_one();
  CHECK(job.series == "s");
  CHECK(job.archive == "a");
  CHECK(job.files_json == R"([{"source": "a.txt"}])");
  CHECK(job.metadata_json == R"({"k": "v"})");
  CHECK(job.on_missing == "skip");
  CHECK(job.level == "small");
  CHECK(job.attempt == 1);
  CHECK(job.lease.revision == 1);
  CHECK(job.built_revision == 0);
  CHECK_FALSE(job.current.has_value());
  CHECK(bench.state() == "running");
}

TEST_CASE("jobs are claimed by priority, then by age, and at most as many as asked for") {
  Bench bench;
  bench.publish("old", {}, "s1");
  bench.publish("young", {}, "s2");
  bench.publish("urgent", {{"priority", "5"}}, "s3");
  bench.publish("last", {{"priority", "-1"}}, "s4");
  CHECK(archives_of(bench.worker.peek(10)) == Names{"urgent", "old", "young", "last"});
  CHECK(archives_of(bench.worker.claim(bench.run, 2)) == Names{"urgent", "old"});
  Names rest;
  wait_until([&] {
    for (const auto& archive : archives_of(bench.worker.claim(bench.run, 10))) rest.push_back(archive);
    return rest.size() >= 2;
  });
  CHECK(rest == Names{"young", "last"});
  CHECK(bench.worker.claim(bench.run, 10).empty());
}

TEST_CASE("a flood of one lane lets the next publish of another pass") {
  Bench bench;
  bench.db.sql("SELECT zipmodule.publish('flood', 'f' || n, '[{\"source\": \"x\"}]') FROM generate_series(1, 50) n");
  bench.publish("single", {}, "other");
  const auto jobs = archives_of(bench.worker.claim(bench.run, 3));
  CHECK(std::find(jobs.begin(), jobs.end(), "single") != jobs.end());
  CHECK(jobs[0] == "f1");
}

TEST_CASE("peek shows what claim would take and changes nothing") {
  Bench bench;
  bench.publish("a");
  const auto seen = bench.worker.peek(1);
  REQUIRE(seen.size() == 1);
  CHECK(bench.state() == "pending");
  const auto claimed = bench.claim_one();
  CHECK(claimed.lease.token == seen[0].lease.token);
  CHECK(claimed.attempt == seen[0].attempt);
}

TEST_CASE("two workers that claim at once never get the same job, and together get all") {
  Bench bench;
  bench.db.sql("SELECT zipmodule.publish('s' || n, 'a', '[{\"source\": \"x\"}]') FROM generate_series(1, 300) n");
  std::vector<std::int64_t> got[2];
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        Worker worker(bench.options(i == 0 ? "host-b" : "host-c"));
        const auto run = worker.begin_run(1, "test", token_of(1)).run_id;
        int empty = 0;
        while (empty < 3) {  // rows the other has locked are skipped, so one empty answer is no proof
          const auto jobs = worker.claim(run, 7);
          if (jobs.empty()) ++empty;
          for (const auto& job : jobs) got[i].push_back(job.lease.job_id);
        }
      });
    }
  }
  std::set<std::int64_t> all(got[0].begin(), got[0].end());
  all.insert(got[1].begin(), got[1].end());
  CHECK(got[0].size() + got[1].size() == 300);
  CHECK(all.size() == 300);
}

TEST_CASE("a heartbeat extends the lease and shows progress") {
  Bench bench;
  bench.publish("a");
  const auto job = bench.claim_one();
  bench.let_leases_expire();
  CHECK(bench.worker.extend({{job.lease, 0.25}}) == std::vector<LeaseState>{LeaseState::held});
  CHECK(bench.db.sql("SELECT state || ' ' || progress FROM zipmodule.job_status") == "running 0.25");
}

TEST_CASE("a heartbeat answers each lease in the order asked") {
  Bench bench;
  bench.publish("a", {}, "s1");
  bench.publish("b", {}, "s2");
  bench.publish("c", {}, "s3");
  const auto jobs = bench.worker.claim(bench.run, 3);
  Publisher(bench.db.options()).cancel("s2", "b");
  Lease stale = jobs[0].lease;
  stale.token -= 1;
  CHECK(bench.worker.extend({{jobs[2].lease, 0}, {jobs[1].lease, 0}, {stale, 0}, {jobs[0].lease, 0}}) ==
        std::vector<LeaseState>{LeaseState::held, LeaseState::cancelled, LeaseState::lost, LeaseState::held});
  CHECK(bench.worker.extend({}).empty());
}

TEST_CASE("a stale token can neither extend, commit, release, fail nor give back") {
  Bench bench;
  bench.publish("a");
  const Lease stale = bench.claim_one().lease;
  bench.let_leases_expire();
  Worker other(bench.options("host-b"));
  const auto other_run = other.begin_run(2, "test", token_of(2)).run_id;
  const auto taken = other.claim(other_run, 1);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].lease.token == stale.token + 1);

  CHECK(bench.worker.extend({{stale, 0.5}}) == std::vector<LeaseState>{LeaseState::lost});
  CHECK(bench.worker.commit(bench.run, {completion_of(stale, 1)}) == std::vector<bool>{false});
  CHECK(bench.worker.release({stale}) == std::vector<bool>{false});
  CHECK(bench.worker.fail(bench.run, {failure_of(stale)}) == std::vector<bool>{false});
  CHECK(bench.worker.release_unbuilt(bench.run, {attempt_at(stale)}) == std::vector<bool>{false});
  bench.worker.give_back(bench.run, {attempt_at(stale)});

  CHECK(bench.job("lease_token || ' ' || (lease_until IS NOT NULL) || ' ' || built_revision || ' ' || attempts") ==
        std::to_string(taken[0].lease.token) + " true 0 0");
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.build") == "0");
  CHECK(bench.outcomes() == "lost");
  CHECK(other.commit(other_run, {completion_of(taken[0].lease, 2)}) == std::vector<bool>{true});
}

TEST_CASE("an open publish of one job neither blocks heartbeats nor costs its lease") {
  LockedByPublisher locked;
  auto& [bench, jobs, publisher] = locked;
  CHECK(bench.worker.extend({{jobs[0].lease, 0}, {jobs[1].lease, 0}}) ==
        std::vector<LeaseState>{LeaseState::held, LeaseState::held});
  CHECK(bench.worker.recover(bench.run + 1) == 1);
}

TEST_CASE("an open publish of one job holds up neither the commit of another nor loses its own") {
  LockedByPublisher locked;
  auto& [bench, jobs, publisher] = locked;
  const std::vector<Completion> completions{completion_of(jobs[0].lease, 1), completion_of(jobs[1].lease, 2)};
  CHECK(bench.worker.commit(bench.run, completions) == std::vector<bool>{false, true});
  CHECK(bench.worker.left_busy() == std::vector<bool>{true, false});
  CHECK(bench.job("built_revision", "a") == "0");
  CHECK(bench.job("built_revision", "b") == "1");
  publisher.sql("COMMIT");
  CHECK(bench.worker.commit(bench.run, completions) == std::vector<bool>{true, true});
  CHECK(bench.worker.left_busy() == std::vector<bool>{false, false});
  CHECK(bench.job("built_revision || ' ' || wanted_revision", "a") == "1 2");
}

TEST_CASE("leases given back at a stop are due at once and count no attempt") {
  Bench bench;
  bench.publish("a");
  bench.worker.give_back(bench.run, {attempt_at(bench.claim_one().lease)});
  CHECK(bench.state() == "pending");
  CHECK(bench.job("attempts") == "0");
  CHECK(bench.db.sql("SELECT outcome || ' ' || error_kind FROM zipmodule.telemetry") == "retry stopped");
  CHECK(bench.claim_one().attempt == 2);
}

TEST_CASE("claims, heartbeats and commits touch no index") {
  Bench bench;
  // So few that all versions find room in one page: whether old ones can be pruned depends on who else is connected.
  bench.db.sql("SELECT zipmodule.publish('s' || n, 'a', '[{\"source\": \"x\"}]') FROM generate_series(1, 6) n");
  {
    WorkerOptions options = bench.options("host-a");
    options.connection.application_name = "hot";
    Worker worker(options);
    const auto jobs = worker.claim(bench.run, 6);
    std::vector<LeaseProgress> beats;
    std::vector<Completion> done;
    for (const auto& job : jobs) {
      beats.push_back({job.lease, 0.5});
      done.push_back(completion_of(job.lease, static_cast<int>(job.lease.job_id)));
    }
    worker.extend(beats);
    worker.commit(bench.run, done);
  }
  // A session reports its counts when it ends.
  wait_until([&] {
    return bench.db.sql(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hot' AND datname = "
               "current_database()") == "0";
  });
  CHECK(bench.db.sql("SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'job'") ==
        "18 18");
}
