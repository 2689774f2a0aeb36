// How long another side may take: its silence, its slowness, and all of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace zipmodule {

// Not thread-safe.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // Each is left out where it is 0.
  struct Limits {
    std::chrono::milliseconds silence{0};     // the longest time without a byte
    std::uint64_t floor_bytes_a_second = 0;   // what is slower than this ...
    std::chrono::milliseconds floor_time{0};  // ... over this time is as good as silent
    std::chrono::milliseconds end{0};         // the longest time for all of it
  };

  explicit Deadline(const Limits& limits, Clock::time_point now = Clock::now()) : limits_(limits) { begin(now); }

  // Something new is asked for: all times count from here.
  void begin(Clock::time_point now = Clock::now());
  // The other side sent, or took, so many bytes; 0: something without a size.
  void heard(std::uint64_t bytes, Clock::time_point now = Clock::now());
  Clock::duration silent(Clock::time_point now = Clock::now()) const { return now - last_heard_; }
  // Why it has passed, such as "no answer for 30 s"; nullopt: it has not.
  std::optional<std::string> passed(Clock::time_point now = Clock::now());

 private:
  const Limits limits_;
  Clock::time_point begun_;
  Clock::time_point last_heard_;
  Clock::time_point window_begun_;  // of the time over which the speed is taken
  std::uint64_t window_bytes_ = 0;
};

}  // namespace zipmodule
