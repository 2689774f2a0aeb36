// Asks the system for small sources before they are opened to be read, while they don't lie in memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "storage/root.hpp"

namespace zipmodule::archive {

// Sources are opened one after the other, about in the order of their indexes, by many threads; without this a disk has no
// more to do at once than there are threads. Never waits for a disk itself, throws nothing, and does next to nothing while
// the sources are in memory. Thread-safe.
class SourceReadAhead {
 public:
  // Larger ones are read ahead by the system, once they are begun.
  static constexpr std::uint64_t k_bytes_most = std::uint64_t{256} << 10U;

  // Opens the source of an index for being asked for: null where there is none, it is too large or can't be opened.
  using Open = std::function<std::unique_ptr<storage::File>(std::size_t index)>;
  explicit SourceReadAhead(Open open) : open_(std::move(open)) {}

  // Tells that `file`, a small one, is about to be read. `size`: where the indexes end.
  void opened(std::size_t index, const storage::File& file, std::size_t size);

  std::size_t asked_for() const noexcept { return asked_for_; }

 private:
  const Open open_;
  std::atomic<std::size_t> opens_{0};
  std::atomic<int> credit_{0};  // sources to look at, while they are in memory, before it is given up
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> asked_for_{0};
};

}  // namespace zipmodule::archive
