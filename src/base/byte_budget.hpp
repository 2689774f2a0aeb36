// The limit on bytes in flight, shared by all builds of a run.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

namespace zipmodule {

// Thread-safe. A Ticket holds its share until it is destroyed. Each build asks for its tickets in plan order, so the
// piece that everything behind it waits for always has its share already: builds sharing a budget can't deadlock.
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t capacity_bytes) : capacity_(capacity_bytes) {}

  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      if (budget_ != nullptr) budget_->release(bytes_);
    }

   private:
    friend class ByteBudget;
    Ticket(ByteBudget* budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    ByteBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  std::uint64_t capacity_bytes() const noexcept { return capacity_; }

  // Waits until `bytes` are free; more than the whole budget counts as the whole. Returns an empty ticket when `stop` is
  // requested meanwhile.
  Ticket acquire(std::uint64_t bytes, const std::stop_token& stop) {
    if (bytes > capacity_) bytes = capacity_;
    std::unique_lock lock(mutex_);
    if (!freed_.wait(lock, stop, [&] { return used_ + bytes <= capacity_; })) return {};
    used_ += bytes;
    return {this, bytes};
  }

 private:
  void release(std::uint64_t bytes) noexcept {
    {
      std::lock_guard lock(mutex_);
      used_ -= bytes;
    }
    freed_.notify_all();
  }

  const std::uint64_t capacity_;

  std::mutex mutex_;
  std::condition_variable_any freed_;
  std::uint64_t used_ = 0;
};

}  // namespace zipmodule
