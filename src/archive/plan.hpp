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
#include <vector>

#include "archive/file_list.hpp"
#include "archive/source_read_ahead.hpp"
#include "archive/text_pool.hpp"
#include "storage/root.hpp"
#include "storage/root_place.hpp"
#include "zip/entry.hpp"
#include "zip/names.hpp"

namespace zipmodule::archive {

using Roots = std::map<std::string, storage::RootPlace, std::less<>>;

// A folder below a content root, or the root itself (""), that another file system is mounted on.
struct MountPoint {
  std::string root;
  std::string path;

  bool operator==(const MountPoint&) const = default;
};

struct PlanOptions {
  std::uint64_t max_entries = 1'000'000;                // missing sources count as well
  std::uint64_t max_bytes = std::uint64_t{200} << 30U;  // of source content, logical
  unsigned max_depth = 100;
  zip::OnDuplicate on_duplicate = zip::OnDuplicate::rename;
  bool portable_names = false;
  // Names that are left out of folders; what the list names itself never is.
  std::shared_ptr<const storage::Exclusion> exclude;
  bool recorded = false;      // which sources are settled will be asked
  bool skip_missing = false;  // missing sources are left out and listed in an entry of their own
  std::string host;           // for messages
  // Where other file systems were mounted when the archive was built last: what was there is away where it is empty
  // now.
  std::vector<MountPoint> mounted_before{};
  // A file that is never an entry (Version::file): the archive itself, when it lies in the folder it is made of.
  std::optional<std::uint64_t> excluded;
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
  // `stop`: for what waits for other hosts. `recorded`: whether settled() will be asked.
  explicit Plan(std::stop_token stop = {}, bool recorded = false) : stop_(std::move(stop)), recorded_(recorded) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  std::size_t size() const noexcept override { return entries_.size(); }
  zip::EntryView at(std::size_t index) const override;
  std::unique_ptr<zip::EntryReader> open(std::size_t index) override;
  Fetchers* fetchers(std::size_t index) override;

  // Of an entry's source, nullopt for what has none.
  std::optional<storage::Version> version(std::size_t index) const;
  // Whether that version may be recorded: once the source was opened, or noted as settled.
  bool settled(std::size_t index) const noexcept { return entries_[index].settled; }
  // For an entry that is taken from an older archive, as its source has the recorded version. By one thread at a time,
  // not while the source is opened.
  void note_settled(std::size_t index) noexcept { entries_[index].settled = true; }

  // "root:path" of an entry; for the list of missing files its own name.
  std::string source_name(std::size_t index) const;

  // Where other file systems are mounted, of the places that sources are in.
  std::vector<MountPoint> mounts() const;

  std::uint64_t content_bytes() const noexcept { return content_bytes_; }
  std::uint64_t files() const noexcept { return files_; }                    // entries that are not directories
  std::uint64_t files_excluded() const noexcept { return files_excluded_; }  // an excluded folder is one
  const std::vector<std::string>& missing() const noexcept { return missing_; }
  // Names that were changed or that Windows or long paths will trouble; the first 1,000, and how many there are.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  std::uint64_t warned() const noexcept { return warned_; }

 private:
  friend class Planner;

  struct Entry {
    std::uint64_t name_at = 0;  // in text_
    std::uint64_t size_bytes = 0;
    std::int64_t mtime_ns = 0;
    storage::Version version;
    std::uint32_t origin = 0;  // in origins_
    std::uint16_t name_bytes = 0;
    bool directory : 1 = false;
    bool executable : 1 = false;
    bool listed_settled : 1 = false;  // FileStatus::settled
    bool settled = false;             // written by the thread that opens the source
  };
  // Where sources come from: the path below the root is `prefix`, and behind it the name without its first
  // `drop_bytes`. Entries that come from one folder share it.
  struct Origin {
    std::uint64_t prefix_at = 0;  // in text_
    std::uint32_t prefix_bytes = 0;
    std::uint32_t drop_bytes = 0;
    std::uint16_t root = 0;  // in roots_

    bool operator==(const Origin&) const = default;
  };
  std::string_view name(const Entry& entry) const { return text_.at(entry.name_at, entry.name_bytes); }
  std::string source_path(const Entry& entry) const;
  std::unique_ptr<storage::File> open_ahead(std::size_t index) const;
  std::unique_ptr<storage::File> open_file(const Entry& entry) const;

  const std::stop_token stop_;
  const bool recorded_;
  std::vector<std::shared_ptr<const storage::Root>> roots_;  // as they are in this attempt
  std::deque<Entry> entries_;                                // not a vector, of which there would be two while it grows
  std::vector<Origin> origins_;
  TextPool text_;
  std::string generated_;  // the content of k_missing_entry
  std::vector<std::string> missing_;
  std::vector<std::string> warnings_;
  std::uint64_t warned_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t files_excluded_ = 0;
  SourceReadAhead read_ahead_{[this](std::size_t index) { return open_ahead(index); }};
};

// Throws Error{config} for a root this host doesn't have, Error{root_away}, Error{source_...}, Error{name_conflict},
// Error{limit} with the figure and the key to change, Error{empty}, Error{stopped}. `roots` must outlive the plan.
std::unique_ptr<Plan> make_plan(const std::vector<Listed>& list, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop);
// The same of a publish's list, element by element: the list as values would take more memory than the plan. Throws
// also Error{payload} (see file_list.hpp).
std::unique_ptr<Plan> make_plan(std::string_view files_json, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop);

}  // namespace zipmodule::archive
