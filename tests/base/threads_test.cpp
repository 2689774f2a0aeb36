#include "base/threads.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <string_view>

#include "base/bounded_queue.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/thread_pool.hpp"
#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/process.hpp"

namespace zipmodule {
namespace {

// All that a process can address: where a thread's stack finds no room it can't be started, whoever the user is. A limit
// of memory would do as well, but sanitizers need all of theirs.
constexpr std::size_t k_stack_bytes = std::size_t{1} << 47U;

// Calls `body` in a child that can start no thread; returns the child's exit code.
template <class Body>
int without_threads(Body body) {
  return test::in_child([&] {
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, k_stack_bytes);
    if (pthread_setattr_default_np(&huge) != 0) return 99;
    ::alarm(20);  // what hangs is ended
    return body();
  });
}

bool fails(const std::function<void()>& start) {
  try {
    start();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::threads && std::string_view(error.what()).starts_with("start a thread for ");
  }
  return false;
}

TEST_CASE("a thread that can't be started is an error that names what it was for") {
  CHECK(without_threads([] { return fails([] { start_thread("a test", [](const std::stop_token&) {}); }) ? 0 : 1; }) ==
        0);
}

TEST_CASE("a caller that can do without a thread goes on without") {
  CHECK(without_threads([] {
          if (try_start_thread("a test", [](const std::stop_token&) {}).joinable()) return 1;
          return start_threads("a test", 3, [](const std::stop_token&) {}).empty() ? 0 : 2;
        }) == 0);
}

TEST_CASE("a crew and a pool without any thread are errors, and nothing waits") {
  CHECK(without_threads([] {
          BoundedQueue<int> queue(1);
          const auto work = [&](const std::stop_token&) { queue.pop(); };
          if (!fails([&] { start_crew("a test", 3, work); })) return 1;
          return fails([] { const ThreadPool pool(8); }) ? 0 : 2;
        }) == 0);
}

TEST_CASE("where no thread can wait for signals they end the process as before") {
  CHECK(without_threads([] {
          if (!fails([] { const SignalStop stop; })) return 1;
          sigset_t mask;
          pthread_sigmask(SIG_SETMASK, nullptr, &mask);
          return sigismember(&mask, SIGTERM) == 1 ? 2 : 0;
        }) == 0);
}

// What a pool of eight does when the second of its threads can't be started.
int grow_in_vain() {
  ThreadPool pool(8);
  pthread_attr_t huge;
  pthread_attr_init(&huge);
  pthread_attr_setstacksize(&huge, k_stack_bytes);
  if (pthread_setattr_default_np(&huge) != 0) return 99;
  ::alarm(20);
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) pool.submit([&] { ++ran; });
  return test::wait_until([&] { return ran == 100; }) ? 0 : 1;
}

TEST_CASE("a pool that can't grow does all of its tasks") { CHECK(test::in_child(grow_in_vain) == 0); }

TEST_CASE("all threads that were asked for run, and end with their owner") {
  std::atomic<int> running{0};
  {
    const auto threads = start_threads("a test", 4, [&](const std::stop_token& stop) {
      ++running;
      std::mutex mutex;
      std::condition_variable_any never;
      std::unique_lock lock(mutex);
      never.wait(lock, stop, [] { return false; });
      --running;
    });
    CHECK(threads.size() == 4);
    CHECK(test::wait_until([&] { return running == 4; }));
  }
  CHECK(running == 0);
}

}  // namespace
}  // namespace zipmodule
