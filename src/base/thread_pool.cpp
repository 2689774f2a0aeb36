#include "base/thread_pool.hpp"

#include <limits>

namespace zipmodule {

// No bound of its own: what is submitted holds a share of the byte budget, or is counted by who submits it.
ThreadPool::ThreadPool(unsigned threads) : tasks_(std::numeric_limits<std::size_t>::max()) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      while (auto task = tasks_.pop()) (*task)();
    });
  }
}

ThreadPool::~ThreadPool() { tasks_.close(); }

void ThreadPool::submit(std::function<void()> task) { tasks_.push(std::move(task)); }

}  // namespace zipmodule
