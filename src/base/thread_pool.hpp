// The threads that all builds of a run share.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/bounded_queue.hpp"

namespace zipmodule {

// Runs tasks on a fixed number of threads, in the order they were submitted. Thread-safe. Tasks must not throw; whoever
// submits them carries errors back in its own way. The destructor runs what was submitted, then joins.
class ThreadPool {
 public:
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void submit(std::function<void()> task);
  // The same for what has an answer, or throws: the future tells.
  template <class Question>
  auto ask(Question question) -> std::future<decltype(question())> {
    auto task = std::make_shared<std::packaged_task<decltype(question())()>>(std::move(question));
    submit([task] { (*task)(); });
    return task->get_future();
  }
  unsigned size() const noexcept { return static_cast<unsigned>(threads_.size()); }

 private:
  BoundedQueue<std::function<void()>> tasks_;
  std::vector<std::jthread> threads_;
};

}  // namespace zipmodule
