#include "base/deadline.hpp"

#include "support/catch.hpp"

namespace zipmodule {
namespace {

using namespace std::chrono_literals;

const Deadline::Clock::time_point k_begin = Deadline::Clock::now();

TEST_CASE("silence passes a deadline, and every byte begins it anew") {
  Deadline deadline({30s, 0, 0s, 0s}, k_begin);
  CHECK_FALSE(deadline.passed(k_begin + 30s));
  deadline.heard(1, k_begin + 30s);
  CHECK_FALSE(deadline.passed(k_begin + 60s));
  CHECK(deadline.passed(k_begin + 61s) == "no answer for 31 s");
  deadline.begin(k_begin + 61s);
  CHECK_FALSE(deadline.passed(k_begin + 91s));
}

TEST_CASE("a trickle passes a deadline, and what is fast enough does not") {
  Deadline deadline({30s, 1'024, 15s, 0s}, k_begin);
  for (auto at = 1s; at <= 60s; ++at) {
    deadline.heard(2'000, k_begin + at);
    CHECK_FALSE(deadline.passed(k_begin + at));
  }
  std::optional<std::string> why;
  for (auto at = 61s; at <= 100s && !why; ++at) {
    deadline.heard(100, k_begin + at);
    why = deadline.passed(k_begin + at);
  }
  REQUIRE(why);
  CHECK(*why == "less than 1024 bytes a second for 16 s");
}

TEST_CASE("an end passes however busy the other side is") {
  Deadline deadline({0s, 0, 0s, 120s}, k_begin);
  deadline.heard(1'000'000, k_begin + 120s);
  CHECK_FALSE(deadline.passed(k_begin + 120s));
  CHECK(deadline.passed(k_begin + 121s) == "not done after 121 s");
}

TEST_CASE("a deadline without limits never passes") {
  Deadline deadline({}, k_begin);
  CHECK_FALSE(deadline.passed(k_begin + 24h));
}

}  // namespace
}  // namespace zipmodule
