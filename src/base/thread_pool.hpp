// The threads that all builds of a run share.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/threads.hpp"

namespace zipmodule {

// Runs tasks in the order they were submitted. Thread-safe. Tasks must not throw; the submitter carries errors back in
// its own way. The destructor runs what was submitted, then joins.
//
// One thread is there from the beginning, the others are started when tasks would wait for them. Where one can't be
// started, the pool goes on with those that it has, and gives back one of several: what a run starts for a moment, such
// as a resolver of names, needs room too. It does not grow again.
class ThreadPool {
 public:
  // Throws Error{threads} where not even one thread can be started.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void submit(std::function<void()> task);
  // The same for what has an answer, or throws: the future has either.
  template <class Question>
  auto ask(Question question) -> std::future<decltype(question())> {
    auto task = std::make_shared<std::packaged_task<decltype(question())()>>(std::move(question));
    submit([task] { (*task)(); });
    return task->get_future();
  }
  // Tasks that run at once, at most.
  unsigned size() const noexcept { return most_; }

 private:
  void work();
  void grow();

  const unsigned most_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_, as below
  std::size_t idle_ = 0;                     // threads that wait for a task
  bool full_ = false;                        // no further thread can be started
  bool one_may_end_ = false;
  bool closed_ = false;
  std::vector<Thread> threads_;  // last: they end before the rest does
};

}  // namespace zipmodule
