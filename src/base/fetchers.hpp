// The threads that wait for bytes from one other machine, so that those which compress don't.
#pragma once

#include <cstdint>

#include "base/byte_budget.hpp"
#include "base/thread_pool.hpp"

namespace zipmodule {

// Thread-safe. A machine that stands still keeps its own fetchers waiting, and nobody else: neither threads of another
// machine nor more than `window_bytes` of memory.
struct Fetchers {
  Fetchers(unsigned threads, std::uint64_t window_bytes) : pool(threads), window(window_bytes) {}

  ThreadPool pool;
  ByteBudget window;  // bytes asked for, or here and not written yet, over all builds
};

}  // namespace zipmodule
