// SIGTERM and SIGINT as a stop request instead of a sudden end.
#pragma once

#include <stop_token>

#include "base/threads.hpp"

namespace zipmodule {

// Blocks SIGTERM and SIGINT for the calling thread and all threads it starts later, and waits for them on a thread of
// its own: the first requests the stop, a second ends the process at once with 128 + signal. Construct it before any
// other thread. Only one may live at a time. The destructor restores the calling thread's mask. Throws
// Error{threads}, with the mask as it was.
class SignalStop {
 public:
  SignalStop();
  ~SignalStop();
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;

  std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  void wait(const std::stop_token& ending);

  std::stop_source source_;
  Thread waiter_;
};

}  // namespace zipmodule
