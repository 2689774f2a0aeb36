// The threads of this program: all are started here.
//
// A host, a container or a user has a limit of threads, and any start may be the one that meets it. So a start either
// fails as a whole, or goes on with the threads that there are: nobody is left with some threads and no end for them.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace zipmodule {

// What a thread does. It must not throw.
using ThreadWork = std::function<void(const std::stop_token&)>;

// A running thread, or none. The destructor requests the stop and joins. Only the functions below start one.
class Thread {
 public:
  Thread() = default;

  bool joinable() const noexcept { return thread_.joinable(); }
  void request_stop() noexcept { thread_.request_stop(); }
  void join() { thread_.join(); }
  std::jthread::native_handle_type native_handle() { return thread_.native_handle(); }

 private:
  friend Thread start_thread(std::string_view purpose, ThreadWork work);
  explicit Thread(std::jthread thread) noexcept : thread_(std::move(thread)) {}

  std::jthread thread_;
};

// Starts a thread that the caller can't do without. `purpose` ends the sentence "start a thread for ...". Throws
// Error{threads}, and nothing else, where it can't be started.
Thread start_thread(std::string_view purpose, ThreadWork work);

// For a caller that can do without: returns none where it can't be started. The first time that a thread is lacking
// here or below, this process warns.
Thread try_start_thread(std::string_view purpose, ThreadWork work);

// As many threads as can be started, `most` at most, all with the same work; for a caller that takes part itself.
std::vector<Thread> start_threads(std::string_view purpose, std::size_t most, const ThreadWork& work);

// The same for a caller that only waits: at least one. Throws Error{threads} where not even one can be started.
std::vector<Thread> start_crew(std::string_view purpose, std::size_t most, const ThreadWork& work);

}  // namespace zipmodule
