// Random plans for the writer: trees of every shape, and what becomes of them until the next publish.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {

// Entries with names of their own that may stand in an archive.
std::vector<zip::MemoryEntry> make_tree(FuzzedDataProvider& input);

// The tree as it is at the next publish: entries kept, changed, gone and new. kept_from[i] is the older tree's entry whose
// data entry i still has; name, time and mode may be others.
struct NextTree {
  std::vector<zip::MemoryEntry> entries;
  std::vector<std::optional<std::size_t>> kept_from;
};
NextTree make_next_tree(FuzzedDataProvider& input, const std::vector<zip::MemoryEntry>& older);

}  // namespace zipmodule::fuzz
