#include "base/signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/process.hpp"

namespace zipmodule {
namespace {

using test::in_child;  // each case has a child, which ends with 0 when all went as it should

bool blocked(int signal) {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, signal) == 1;
}

TEST_CASE("the first SIGTERM or SIGINT asks to stop and ends nothing") {
  for (const int signal : {SIGTERM, SIGINT}) {
    CHECK(in_child([signal] {
            const SignalStop stop;
            if (stop.token().stop_requested()) return 1;
            ::kill(::getpid(), signal);
            return test::wait_until([&] { return stop.token().stop_requested(); }) ? 0 : 2;
          }) == 0);
  }
}

TEST_CASE("the second signal ends the process at once with 128 and its number") {
  CHECK(in_child([] {
          const SignalStop stop;
          ::kill(::getpid(), SIGTERM);
          if (!test::wait_until([&] { return stop.token().stop_requested(); })) return 2;
          ::kill(::getpid(), SIGINT);
          test::wait_until([] { return false; });
          return 3;
        }) == 128 + SIGINT);
}

TEST_CASE("threads started later don't die of the signal") {
  CHECK(in_child([] {
          const SignalStop stop;
          bool was_blocked = false;
          std::jthread([&] { was_blocked = blocked(SIGTERM) && blocked(SIGINT); }).join();
          return was_blocked ? 0 : 1;
        }) == 0);
}

TEST_CASE("a stop that never came leaves no stop request and the old signal mask") {
  CHECK(in_child([] {
          {
            const SignalStop stop;
            if (stop.token().stop_requested()) return 1;
          }
          return blocked(SIGTERM) || blocked(SIGINT) ? 2 : 0;
        }) == 0);
}

TEST_CASE("after its end a signal has its usual effect again") {
  CHECK(in_child([] {
          { const SignalStop stop; }
          ::kill(::getpid(), SIGTERM);
          test::wait_until([] { return false; });
          return 3;
        }) == test::k_signalled + SIGTERM);
}

}  // namespace
}  // namespace zipmodule
