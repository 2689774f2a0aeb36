// One job's file list, looked up: a checked, ordered list of entries, before a byte is read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/file_list.hpp"
#include "archive/source_read_ahead.hpp"
#include "archive/text_pool.hpp"
#include "storage/root.hpp"
#include "zip/entry.hpp"
#include "zip/names.hpp"

namespace zipmodule::archive {

using Roots = std::map<std::string, std::unique_ptr<const storage::Root>, std::less<>>;

struct PlanOptions {
  std::uint64_t max_entries = 1'000'000;                // missing sources count as well
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

// The plan, and the way to its sources. Constant after make_plan, so it may be used by many threads.
//
// Memory: 52 bytes an entry beside its name in the archive, where its source's path ends as that name does, as with all
// entries of a listed folder; 24 bytes and the path at most more where it was renamed. make_plan needs 25 bytes more an
// entry (50 for a folder) until it is done, and the names of the folders it is in. Missing sources take their path and
// about 50 bytes.
class Plan final : public zip::EntryList, public zip::Content {
 public:
  // `stop`: for what waits for other hosts.
  explicit Plan(std::stop_token stop = {}) : stop_(std::move(stop)) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  std::size_t size() const noexcept override { return entries_.size(); }
  zip::EntryView at(std::size_t index) const override;
  std::unique_ptr<zip::EntryReader> open(std::size_t index) override;
  Fetchers* fetchers(std::size_t index) override;

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
    std::uint64_t name_at = 0;  // in text_
    std::uint64_t size_bytes = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint32_t origin = 0;  // in origins_
    std::uint16_t name_bytes = 0;
    bool directory = false;
    bool executable = false;
  };
  // Where sources come from: the path below the root is `prefix`, and behind it the name without its first `drop_bytes`.
  // Entries that come from one folder share it.
  struct Origin {
    std::uint64_t prefix_at = 0;  // in text_
    std::uint32_t prefix_bytes = 0;
    std::uint32_t drop_bytes = 0;
    std::uint16_t root = 0;  // in roots_
    std::uint64_t device = 0;

    bool operator==(const Origin&) const = default;
  };
  std::string_view name(const Entry& entry) const { return text_.at(entry.name_at, entry.name_bytes); }
  std::string source_path(const Entry& entry) const;
  std::unique_ptr<storage::File> open_ahead(std::size_t index) const;
  std::unique_ptr<storage::File> open_file(const Entry& entry) const;

  std::stop_token stop_;
  std::vector<const storage::Root*> roots_;
  std::deque<Entry> entries_;  // not a vector, of which there would be two while it grows
  std::vector<Origin> origins_;
  TextPool text_;
  std::string generated_;  // the content of k_missing_entry
  std::vector<std::string> missing_;
  std::vector<std::string> warnings_;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t files_ = 0;
  SourceReadAhead read_ahead_{[this](std::size_t index) { return open_ahead(index); }};
};

// Throws Error{config} for a root this host doesn't have, Error{source_...}, Error{name_conflict}, Error{limit} with the
// figure and the key to change, Error{empty}, Error{stopped}. `roots` must outlive the plan.
std::unique_ptr<Plan> make_plan(const std::vector<Listed>& list, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop);
// The same of a publish's list, element by element: the list as values would take more memory than the plan. Throws also
// Error{payload} (see file_list.hpp).
std::unique_ptr<Plan> make_plan(std::string_view files_json, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop);

}  // namespace zipmodule::archive
