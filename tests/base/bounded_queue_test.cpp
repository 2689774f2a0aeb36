#include "base/bounded_queue.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/process.hpp"

namespace zipmodule {
namespace {

TEST_CASE("what is pushed first is popped first") {
  BoundedQueue<int> queue(3);
  for (const int value : {1, 2, 3}) CHECK(queue.push(value));
  for (const int value : {1, 2, 3}) CHECK(queue.pop() == value);
}

TEST_CASE("a full queue holds its producer back until there is room") {
  BoundedQueue<int> queue(2);
  std::atomic<int> pushed{0};
  std::jthread producer([&] {
    for (int i = 0; i < 3; ++i) {
      queue.push(i);
      ++pushed;
    }
  });
  REQUIRE(test::wait_until([&] { return pushed == 2; }));
  CHECK(queue.pop() == 0);
  REQUIRE(test::wait_until([&] { return pushed == 3; }));
  CHECK(queue.pop() == 1);
  CHECK(queue.pop() == 2);
}

TEST_CASE("a closed queue refuses what is new and hands out what is left") {
  BoundedQueue<int> queue(4);
  queue.push(1);
  queue.push(2);
  queue.close();
  CHECK_FALSE(queue.push(3));
  CHECK(queue.pop() == 1);
  CHECK(queue.pop() == 2);
  CHECK_FALSE(queue.pop());
  CHECK_FALSE(queue.pop());
}

TEST_CASE("closing wakes who waits for an item and who waits for room") {
  BoundedQueue<int> empty(1);
  BoundedQueue<int> full(1);
  full.push(1);
  std::atomic<int> woken{0};
  std::jthread consumer([&] {
    CHECK_FALSE(empty.pop());
    ++woken;
  });
  std::jthread producer([&] {
    if (!full.push(2)) ++woken;
  });
  empty.close();
  full.close();
  CHECK(test::wait_until([&] { return woken == 2; }));
}

TEST_CASE("values that can only be moved go through") {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  queue.push(std::make_unique<int>(7));
  CHECK(*queue.pop().value() == 7);
}

TEST_CASE("many producers and consumers lose and double nothing") {
  constexpr int k_each = 2000;
  BoundedQueue<int> queue(8);
  std::atomic<long> sum{0};
  std::atomic<int> count{0};
  {
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 3; ++i) {
      consumers.emplace_back([&] {
        while (const auto value = queue.pop()) {
          sum += *value;
          ++count;
        }
      });
    }
    {
      std::vector<std::jthread> producers;
      for (int i = 0; i < 3; ++i) {
        producers.emplace_back([&] {
          for (int value = 1; value <= k_each; ++value) queue.push(value);
        });
      }
    }
    queue.close();
  }
  CHECK(count == 3 * k_each);
  CHECK(sum == 3L * k_each * (k_each + 1) / 2);
}

}  // namespace
}  // namespace zipmodule
