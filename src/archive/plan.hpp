// One job's file list, looked up: a checked, ordered list of entries, before a byte is read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/file_list.hpp"
#include "storage/local_root.hpp"
#include "zip/entry.hpp"
#include "zip/names.hpp"

namespace zipmodule::archive {

using Roots = std::map<std::string, storage::LocalRoot, std::less<>>;

struct PlanOptions {
  std::uint64_t max_entries = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{200} << 30U;  // of source content, logical
  unsigned max_depth = 100;
  zip::OnDuplicate on_duplicate = zip::OnDuplicate::rename;
  bool portable_names = false;
  bool skip_missing = false;  // missing sources are left out and listed in an entry of their own
  std::string host;           // for messages
  // A file that is never an entry, by device and inode: the archive itself, when it lies in the folder it is made of.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> excluded;
};

// Two equal ones: the same file with the same content, as long as its times can be trusted.
struct SourceIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;  // 0 for a folder
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;

  bool operator==(const SourceIdentity&) const = default;
};

// The name of the entry that lists what was left out.
inline constexpr std::string_view k_missing_entry = "MISSING-FILES.txt";

// The plan, and the way to its sources. Constant after make_plan, so it may be used by many threads. Takes about 64 bytes
// an entry beside its name.
class Plan final : public zip::EntryList, public zip::Content {
 public:
  std::size_t size() const noexcept override { return entries_.size(); }
  zip::EntryView at(std::size_t index) const override;
  std::unique_ptr<zip::EntryReader> open(std::size_t index) override;

  // What tells whether an entry's source is still the same; nullopt for what has no file.
  std::optional<SourceIdentity> identity(std::size_t index) const;

  // "root:path" of an entry; for the list of missing files its own name.
  std::string source_name(std::size_t index) const;

  std::uint64_t content_bytes() const noexcept { return content_bytes_; }
  std::uint64_t files() const noexcept { return files_; }  // entries that are not directories
  const std::vector<std::string>& missing() const noexcept { return missing_; }
  // Names that were changed or that Windows or long paths will trouble; at most 1,000 of them.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  friend class Planner;

  struct Entry {
    std::uint64_t name_at = 0;    // in text_
    std::uint64_t source_at = 0;  // in text_; the path below the root
    std::uint64_t size_bytes = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint32_t name_bytes = 0;
    std::uint32_t source_bytes = 0;
    std::uint16_t root = 0;    // in roots_
    std::uint16_t device = 0;  // in devices_
    bool directory = false;
    bool executable = false;
  };
  std::string_view source_path(const Entry& entry) const {
    return std::string_view(text_).substr(entry.source_at, entry.source_bytes);
  }

  std::vector<const storage::LocalRoot*> roots_;
  std::vector<std::uint64_t> devices_;
  std::vector<Entry> entries_;
  std::string text_;       // all names and paths; a name that ends with its source's path shares the bytes
  std::string generated_;  // the content of k_missing_entry
  std::vector<std::string> missing_;
  std::vector<std::string> warnings_;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t files_ = 0;
};

// Throws Error{config} for a root this host doesn't have, Error{source_...}, Error{name_conflict}, Error{limit} with the
// figure and the key to change, Error{empty}, Error{stopped}. `roots` must outlive the plan.
std::unique_ptr<Plan> make_plan(const std::vector<Listed>& list, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop);

}  // namespace zipmodule::archive
