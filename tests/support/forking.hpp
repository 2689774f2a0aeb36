// A child with the signals of a program of its own.
#pragma once

#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace zipmodule::test {

// fork(), but what others send to end a process ends the child as it would any program: Catch2's handlers stay with the
// parent. They report and allocate, which a fork of a program with threads must not do. No signal comes in between; the
// mask is the caller's in both.
inline pid_t fork_without_handlers() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

}  // namespace zipmodule::test
