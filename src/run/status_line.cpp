#include "run/status_line.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace zipmodule::run {
namespace {

constexpr std::chrono::milliseconds k_repaint{200};

std::size_t terminal_width() noexcept {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

std::string progress_bar(double fraction, unsigned width) {
  const double clamped = std::clamp(fraction, 0.0, 1.0);
  const auto filled = static_cast<unsigned>(clamped * width);
  return fmt::format("[{}{}] {:3.0f} %", std::string(filled, '#'), std::string(width - filled, '.'), clamped * 100);
}

StatusLine::StatusLine(std::function<std::string()> text)
    : text_(std::move(text)), thread_(try_start_thread("the progress", [this](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!stop.stop_requested()) {
          std::string line = text_();
          if (line.size() >= terminal_width()) line.resize(terminal_width() - 1);
          fmt::print(stderr, "\r\033[K{}", line);
          std::fflush(stderr);
          wake_.wait_for(lock, stop, k_repaint, [] { return false; });
        }
      })) {}

StatusLine::~StatusLine() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace zipmodule::run
