// Where the writer's bytes come from: a tree's own sources, plain files or not, or an older archive; and what goes wrong
// with them.
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

// An archive that the target wrote before.
struct OlderArchive {
  explicit OlderArchive(const std::string& content);
  zip::MemoryFile file;
  std::vector<zip::CentralRecord> records;
  std::vector<std::uint64_t> data_offsets;
};

// What goes wrong with a source between the plan and its last byte.
enum class Trouble { none, gone, unreadable, shrinks, shrinks_unnoticed, grows, changes, stops, kMaxValue = stops };

// What goes wrong with the older archive while it is copied from.
enum class OlderTrouble { none, cut, changes, fails_check, kMaxValue = fails_check };

class TreeContent : public zip::MemoryContent {
 public:
  // How sources and older archives are handed out.
  struct Manner {
    bool source_ranges = false;  // sources are plain files
    bool settled = false;        // that nobody wrote to lately
    bool older_ranges = false;   // the older archive is a plain file
    bool with_headers = false;   // its entries may be copied with their headers
    bool with_check = false;     // its entries are checked meanwhile
  };

  TreeContent(const std::vector<zip::MemoryEntry>& entries, Manner manner);

  // `older` outlives the content.
  void reuse(const OlderArchive& older, const std::vector<std::optional<std::size_t>>& from);
  // Lets a source go wrong, where it is one that can.
  void trouble(std::size_t index, Trouble trouble);
  // Lets the older archive go wrong, where something is taken from it; cut: the bytes that are left of it.
  void trouble_older(OlderTrouble trouble, std::uint64_t cut);

  std::unique_ptr<zip::EntryReader> open(std::size_t index) override;
  std::optional<zip::RawData> raw(std::size_t index) override;

  // An entry without bytes is worth taking only where its header comes with it.
  bool reuses(std::size_t index) const {
    if (!reused_[index]) return false;
    return !entries()[index].data.empty() || (manner_.with_headers && has_same_header(index));
  }
  // What a build of it may end with; empty where it must succeed.
  const std::set<ErrorKind>& expected_errors() const noexcept { return expected_errors_; }
  std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  bool has_same_header(std::size_t index) const;

  const Manner manner_;
  std::vector<std::shared_ptr<zip::MemoryFile>> files_;  // of the sources, where they are plain files
  std::vector<Trouble> troubles_;
  std::vector<std::optional<std::size_t>> reused_;
  const OlderArchive* older_ = nullptr;
  std::unique_ptr<zip::MemoryFile> cut_older_;
  OlderTrouble older_trouble_ = OlderTrouble::none;
  std::set<ErrorKind> expected_errors_;
  std::stop_source stop_;
};

}  // namespace zipmodule::fuzz
