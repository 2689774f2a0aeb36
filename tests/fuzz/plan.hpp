// Random plans for the writer: trees of every shape, older archives to take entries from, and sources that go wrong.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {

// Entries with names of their own that may stand in an archive.
std::vector<zip::MemoryEntry> make_tree(FuzzedDataProvider& input);

// The tree as it is at the next publish: entries kept, changed, gone and new. kept_from[i] is the older tree's entry that
// entry i still is.
struct NextTree {
  std::vector<zip::MemoryEntry> entries;
  std::vector<std::optional<std::size_t>> kept_from;
};
NextTree make_next_tree(FuzzedDataProvider& input, const std::vector<zip::MemoryEntry>& older);

// An archive that the target wrote before.
struct OlderArchive {
  explicit OlderArchive(const zip::MemoryFile& file);
  std::string bytes;
  std::vector<zip::CentralRecord> records;
  std::vector<std::uint64_t> data_offsets;
};

// What goes wrong with a source between the plan and its last byte.
enum class Trouble { none, gone, unreadable, shrinks, shrinks_unnoticed, grows, changes, stops, kMaxValue = stops };

// A plan's content, by its entries' own bytes or an older archive's.
class TreeContent : public zip::MemoryContent {
 public:
  explicit TreeContent(const std::vector<zip::MemoryEntry>& entries)
      : MemoryContent(entries), troubles_(entries.size()), reused_(entries.size()) {}

  // `older` outlives the content.
  void reuse(const OlderArchive& older, const std::vector<std::optional<std::size_t>>& from);
  // Lets a source go wrong, where it is one that can.
  void trouble(std::size_t index, Trouble trouble);

  std::unique_ptr<zip::EntryReader> open(std::size_t index) override;
  std::optional<zip::RawData> raw(std::size_t index) override;

  bool reuses(std::size_t index) const { return reused_[index].has_value() && !entries()[index].data.empty(); }
  // What a build of it may end with; empty where it must succeed.
  const std::set<ErrorKind>& expected_errors() const noexcept { return expected_errors_; }
  std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  std::unique_ptr<zip::EntryReader> reader(std::size_t index, std::string_view data);

  std::vector<Trouble> troubles_;
  std::vector<std::optional<std::size_t>> reused_;
  const OlderArchive* older_ = nullptr;
  std::set<ErrorKind> expected_errors_;
  std::stop_source stop_;
};

}  // namespace zipmodule::fuzz
