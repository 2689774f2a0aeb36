#include "run/leases.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include "support/catch.hpp"

namespace zipmodule::run {
namespace {

using std::chrono::hours;

queue::Lease lease_of(std::int64_t job, std::int64_t token) { return {job, token, 1}; }

TEST_CASE("leases are held from their claim to their end") {
  Leases leases;
  const auto held = leases.add(lease_of(1, 10), "series/archive", BootClock::now() + hours(1));
  leases.add(lease_of(2, 11), "series/other", BootClock::now() + hours(1));
  CHECK(held->label == "series/archive");
  CHECK(leases.size() == 2);
  leases.remove(lease_of(1, 10));
  leases.remove(lease_of(1, 10));
  REQUIRE(leases.all().size() == 1);
  CHECK(leases.all()[0]->lease.job_id == 2);
  CHECK_FALSE(held->stop.stop_requested());  // whoever still has it goes on
}

TEST_CASE("ending an old lease of a job leaves the newer one alone") {
  Leases leases;
  leases.add(lease_of(1, 10), "s/a", BootClock::now() + hours(1));
  leases.add(lease_of(1, 11), "s/a", BootClock::now() + hours(1));
  leases.remove(lease_of(1, 10));
  REQUIRE(leases.size() == 1);
  CHECK(leases.all()[0]->lease.token == 11);
}

TEST_CASE("a lease is alive until its deadline, which can be moved") {
  Leases leases;
  CHECK_FALSE(leases.any_alive());
  const auto held = leases.add(lease_of(1, 1), "s/a", BootClock::now() - std::chrono::seconds(1));
  CHECK_FALSE(held->alive());
  CHECK_FALSE(leases.any_alive());
  held->deadline = BootClock::now() + hours(1);
  CHECK(held->alive());
  CHECK(leases.any_alive());
}

TEST_CASE("the first reason to stop counts") {
  Leases leases;
  const auto cancelled = leases.add(lease_of(1, 1), "s/a", BootClock::now());
  const auto other = leases.add(lease_of(2, 2), "s/b", BootClock::now());
  cancelled->request_stop(StopReason::cancelled);
  leases.stop_all(StopReason::run_stopped);
  leases.stop_all(StopReason::lease_lost);
  CHECK(cancelled->reason == StopReason::cancelled);
  CHECK(other->reason == StopReason::run_stopped);
  CHECK(cancelled->stop.stop_requested());
  CHECK(other->stop.stop_requested());
}

TEST_CASE("leases are added, listed and ended by many threads") {
  Leases leases;
  {
    std::vector<std::jthread> threads;
    for (std::int64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::int64_t i = 0; i < 500; ++i) {
          leases.add(lease_of(t * 1000 + i, i), "s/a", BootClock::now());
          leases.any_alive();
          if (i % 2 == 0) leases.remove(lease_of(t * 1000 + i, i));
        }
      });
    }
  }
  CHECK(leases.size() == 4 * 250);
}

}  // namespace
}  // namespace zipmodule::run
