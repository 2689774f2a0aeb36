#include "base/deadline.hpp"

#include <fmt/format.h>

namespace zipmodule {
namespace {

auto seconds_of(Deadline::Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

void Deadline::begin(Clock::time_point now) {
  begun_ = now;
  last_heard_ = now;
  window_begun_ = now;
  window_bytes_ = 0;
}

void Deadline::heard(std::uint64_t bytes, Clock::time_point now) {
  last_heard_ = now;
  window_bytes_ += bytes;
}

std::optional<std::string> Deadline::passed(Clock::time_point now) {
  if (limits_.end.count() > 0 && now - begun_ > limits_.end) {
    return fmt::format("not done after {} s", seconds_of(now - begun_));
  }
  if (limits_.silence.count() > 0 && silent(now) > limits_.silence) {
    return fmt::format("no answer for {} s", seconds_of(silent(now)));
  }
  const auto time = now - window_begun_;
  if (limits_.floor_bytes_a_second == 0 || time <= limits_.floor_time) return std::nullopt;
  const double least = static_cast<double>(limits_.floor_bytes_a_second) * std::chrono::duration<double>(time).count();
  if (static_cast<double>(window_bytes_) < least) {
    return fmt::format("less than {} bytes a second for {} s", limits_.floor_bytes_a_second, seconds_of(time));
  }
  window_begun_ = now;
  window_bytes_ = 0;
  return std::nullopt;
}

}  // namespace zipmodule
