#include "base/thread_pool.hpp"

#include <algorithm>

namespace zipmodule {
namespace {

constexpr const char* k_purpose = "a pool of threads";

}  // namespace

// The queue has no bound of its own: what is submitted holds a share of the byte budget, or its submitter counts it.
ThreadPool::ThreadPool(unsigned threads) : most_(std::max(1U, threads)) {
  threads_.reserve(most_);
  threads_.push_back(start_thread(k_purpose, [this](const std::stop_token&) { work(); }));
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

void ThreadPool::submit(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > idle_ && !full_ && !closed_) grow();
  }
  changed_.notify_one();
}

// With the mutex held: a few microseconds, as often as the pool has threads.
void ThreadPool::grow() {
  full_ = threads_.size() == most_;
  if (full_) return;
  Thread thread = try_start_thread(k_purpose, [this](const std::stop_token&) { work(); });
  full_ = !thread.joinable();
  if (!full_) {
    threads_.push_back(std::move(thread));
  } else if (threads_.size() > 1) {
    one_may_end_ = true;
    changed_.notify_all();
  }
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [&] { return !tasks_.empty() || closed_ || one_may_end_; });
    --idle_;
    if (one_may_end_) {
      one_may_end_ = false;
      changed_.notify_one();  // the task that woke this thread is another's
      return;
    }
    if (tasks_.empty()) return;
    {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
    lock.lock();
  }
}

}  // namespace zipmodule
