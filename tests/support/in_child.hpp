// What concerns a whole process - signals, locks, its streams, its exit code - tried out in a process of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "support/forking.hpp"

namespace zipmodule::test {

inline constexpr int k_signalled = 1000;  // above every exit code

// Runs `body` in a forked child; returns the exit code that it returns, or k_signalled + the signal that ended it. No
// destructor of the test's runs in the child.
template <class Body>
int in_child(Body body) {
  std::fflush(nullptr);  // or the child would write it once more
  const pid_t pid = fork_without_handlers();
  if (pid == 0) {
    const int exit_code = body();
    std::fflush(nullptr);
    ::_exit(exit_code);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : k_signalled + WTERMSIG(status);
}

}  // namespace zipmodule::test
