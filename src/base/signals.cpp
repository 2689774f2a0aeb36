#include "base/signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace zipmodule {
namespace {

sigset_t stop_signals() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

SignalStop::SignalStop() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  try {
    waiter_ = start_thread("signals", [this](const std::stop_token& ending) { wait(ending); });
  } catch (...) {
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    throw;
  }
}

void SignalStop::wait(const std::stop_token& ending) {
  const sigset_t waited = stop_signals();
  int signal = 0;
  while (sigwait(&waited, &signal) == 0) {
    if (ending.stop_requested()) return;
    if (source_.stop_requested()) ::_exit(128 + signal);
    source_.request_stop();
  }
}

SignalStop::~SignalStop() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), SIGTERM);  // only to wake sigwait, which then sees the request
  waiter_.join();
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace zipmodule
