#include "archive/source_read_ahead.hpp"

#include <algorithm>

namespace zipmodule::archive {
namespace {

// How far ahead: of what a disk takes at once (32 with SATA) and SSDs like, without filling memory: 16 MiB at most.
constexpr std::size_t k_window = 64;

// The window grows by one with every opened source. Where few are opened, as most are copied from an older archive, hardly
// more is asked for than is read.
constexpr int k_steps = 2;

// While nothing was found to be missing in memory, one of so many sources is looked at: a system call of 0.4 us.
constexpr std::size_t k_sample = 16;

constexpr int k_credit = 64;

// Sources are opened out of order where large ones are begun early, but not by so much: it is a second pass, or a build
// from the beginning.
constexpr std::size_t k_restart = 1'024;

}  // namespace

void SourceReadAhead::opened(std::size_t index, const storage::File& file, std::size_t size) {
  if (credit_ <= 0) {
    if (opens_++ % k_sample != 0 || file.in_memory()) return;
    credit_ = k_credit;
  }
  for (int step = 0; step < k_steps; ++step) {
    std::size_t next = next_;
    if (index + k_restart < next && next_.compare_exchange_strong(next, index + 1)) next = index + 1;
    const std::size_t wanted = std::max(next, index + 1);
    if (wanted > index + k_window || wanted >= size) return;
    if (!next_.compare_exchange_strong(next, wanted + 1)) continue;
    const auto ahead = open_(wanted);
    if (!ahead) continue;
    if (ahead->in_memory()) {
      --credit_;
    } else {
      ahead->ask_for();
      ++asked_for_;
      credit_ = k_credit;
    }
  }
}

}  // namespace zipmodule::archive
