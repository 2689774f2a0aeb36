// One line on a terminal that says how far the work is.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

#include "base/threads.hpp"

namespace zipmodule::run {

// A bar of `width` characters, e.g. "[#####.....]  50 %".
std::string progress_bar(double fraction, unsigned width);

// Repaints a line on stderr five times a second with what `text` returns; removes it at the end. Use it only where
// stderr is a terminal. `text` is called from another thread.
class StatusLine {
 public:
  explicit StatusLine(std::function<std::string()> text);
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

 private:
  std::function<std::string()> text_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Thread thread_;  // or none: the line is not shown then
};

}  // namespace zipmodule::run
