#include "base/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/process.hpp"

namespace zipmodule {
namespace {

TEST_CASE("one thread runs tasks in the order they were submitted") {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.submit([&order, i] { order.push_back(i); });
  }
  REQUIRE(order.size() == 100);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("the destructor runs what was submitted before it joins") {
  std::atomic<int> ran{0};
  {
    ThreadPool pool(4);
    for (int i = 0; i < 1000; ++i) pool.submit([&ran] { ++ran; });
  }
  CHECK(ran == 1000);
}

TEST_CASE("as many tasks run at once as there are threads") {
  ThreadPool pool(3);
  CHECK(pool.size() == 3);
  std::atomic<int> inside{0};
  std::atomic<bool> leave{false};
  for (int i = 0; i < 3; ++i) {
    pool.submit([&] {
      ++inside;
      leave.wait(false);
    });
  }
  const bool all_inside = test::wait_until([&] { return inside == 3; });
  leave = true;
  leave.notify_all();
  CHECK(all_inside);
}

TEST_CASE("a task may submit another") {
  std::atomic<int> ran{0};
  std::atomic<bool> submitted{false};
  {
    ThreadPool pool(2);
    pool.submit([&] {
      pool.submit([&ran] { ++ran; });
      submitted = true;
      submitted.notify_all();
    });
    submitted.wait(false);
  }
  CHECK(ran == 1);
}

}  // namespace
}  // namespace zipmodule
