// Short words for what the queue's tests do all the time.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "queue/publisher.hpp"
#include "queue/worker.hpp"
#include "support/catch.hpp"
#include "support/database.hpp"

namespace zipmodule::queue::test {

using zipmodule::test::Session;
using zipmodule::test::TestDatabase;

inline constexpr const char* k_files = R"([{"source": "a.txt"}])";

// Asks until the answer is yes; fails the test after a time that only a hang needs.
template <class Question>
void wait_until(Question question) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!question()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::yield();
  }
}

// A database, a worker on "host-a", who delivers to these targets, and a run of it.
inline std::string token_of(int number) { return fmt::format("{:032x}", number); }

struct Bench {
  explicit Bench(const std::string& user = {}, std::vector<DeliveryTarget> to = {})
      : targets(std::move(to)), worker(options("host-a", user)) {
    run = worker.begin_run(1, "test", token_of(1)).run_id;
  }

  WorkerOptions options(const std::string& host, const std::string& user = {}) const {
    WorkerOptions options;
    options.connection = db.options(user);
    options.host = host;
    options.instance = host + ":/srv/archives";
    options.path = "/srv/archives";
    options.targets = targets;
    options.max_attempts = 3;
    return options;
  }

  Published publish(const std::string& archive, const std::map<std::string, std::string>& with = {},
                    const std::string& series = "s") {
    return Publisher(db.options()).publish({series, archive, k_files, with});
  }

  ClaimedJob claim_one() {
    auto jobs = worker.claim(run, 1);
    REQUIRE(jobs.size() == 1);
    return jobs[0];
  }

  // A field of the only job, or of the one named.
  std::string job(const std::string& expression, const std::string& archive = "a") const {
    return db.sql(fmt::format("SELECT {} FROM zipmodule.job WHERE archive = '{}'", expression, archive));
  }
  std::string state(const std::string& archive = "a") const {
    return db.sql(fmt::format("SELECT state FROM zipmodule.job_status WHERE archive = '{}'", archive));
  }
  void let_leases_expire() const {
    db.sql(
        "UPDATE zipmodule.job SET lease_until = statement_timestamp() - interval '1 second' "
        "WHERE lease_until IS NOT NULL");
  }
  void make_due() const { db.sql("UPDATE zipmodule.job SET due_at = statement_timestamp()"); }
  std::string outcomes() const {
    return db.sql("SELECT coalesce(string_agg(outcome, ' ' ORDER BY id), '') FROM zipmodule.telemetry");
  }

  TestDatabase db;
  std::vector<DeliveryTarget> targets;
  Worker worker;
  std::int64_t run = 0;
};

inline Attempt attempt_at(const Lease& lease) {
  Attempt attempt;
  attempt.lease = lease;
  return attempt;
}

// `number` becomes the build's id.
inline Completion completion_of(const Lease& lease, int number) {
  Completion completion;
  completion.attempt = attempt_at(lease);
  completion.build.build_id = fmt::format("{:032x}", number);
  completion.build.size_bytes = 1000;
  completion.build.entries = 3;
  completion.build.fingerprint = "f";
  completion.build.mtime_ns = 1'700'000'000'000'000'001;
  return completion;
}

inline Failure failure_of(const Lease& lease, const std::string& kind = "io") {
  Failure failure;
  failure.attempt = attempt_at(lease);
  failure.attempt.outcome = Outcome::retry;
  failure.attempt.error_kind = kind;
  failure.attempt.error = "it went wrong";
  return failure;
}

// Claims, commits and releases the next due job.
inline Lease build_next(Bench& bench, int number) {
  const Lease lease = bench.claim_one().lease;
  REQUIRE(bench.worker.commit(bench.run, {completion_of(lease, number)}) == std::vector<bool>{true});
  REQUIRE(bench.worker.release({lease}) == std::vector<bool>{true});
  return lease;
}

}  // namespace zipmodule::queue::test
