// Wakes a lingering run when something is published.
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>

#include "base/fd.hpp"
#include "base/threads.hpp"
#include "queue/connection.hpp"

namespace zipmodule::queue {

// A thread with a connection of its own that LISTENs. After it has connected, and again after every loss, it proves by
// a notification to itself that notifications arrive: through a connection pool in transaction mode they don't, and a
// run has to look by itself then.
class Listener {
 public:
  // `wake` is called on the listener's thread: for notifications, and when is_listening() changes. It must not throw.
  // Where no thread can be started it never listens.
  Listener(ConnectionOptions connection, std::function<void()> wake);
  // Ends the thread, also while it connects, within connect_timeout.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool is_listening() const noexcept { return listening_; }

 private:
  void loop(const std::stop_token& stop);
  void listen(const std::stop_token& stop);
  void set_listening(bool listening);

  const ConnectionOptions connection_;
  const std::function<void()> wake_;
  std::atomic<bool> listening_ = false;
  Fd stopped_;  // an eventfd that ends every wait
  Thread thread_;
};

}  // namespace zipmodule::queue
