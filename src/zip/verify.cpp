#include "zip/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "zip/end_record.hpp"
#include "zip/entry_data.hpp"
#include "zip/entry_text.hpp"
#include "zip/fingerprint_set.hpp"
#include "zip/names.hpp"

namespace zipmodule::zip {
namespace {

Error differs(const ArchiveFile& file, std::string_view name, const std::string& what) {
  return {ErrorKind::verify, fmt::format("{}: entry '{}' {}; the archive was not published", file.path, name, what),
          "this is a bug or broken memory; try again, and report it with the entry's size"};
}

void compare_with_plan(const ArchiveFile& file, const EntryView& planned, const CentralRecord& found) {
  if (found.name != planned.name) throw differs(file, planned.name, fmt::format("became '{}'", found.name));
  if (found.size_bytes != planned.size_bytes) {
    throw differs(file, planned.name, fmt::format("has {} bytes instead of {}", found.size_bytes, planned.size_bytes));
  }
  if (found.method == static_cast<std::uint16_t>(Method::stored) && found.compressed_bytes != found.size_bytes) {
    throw differs(file, planned.name, "is stored with another size");
  }
  if (floor_seconds(found.mtime) != recorded_seconds(planned.mtime))
    throw differs(file, planned.name, "has another time");
  const unsigned mode = planned.directory || planned.executable ? 0755 : 0644;
  if (found.mode() != mode) throw differs(file, planned.name, "has another mode");
}

}  // namespace

std::string verify_against_plan(const ArchiveFile& file, const EntryList& entries) {
  const EndRecord end = read_end_record(file);
  if (end.entries != entries.size()) {
    throw Error(ErrorKind::verify, fmt::format("{}: {} entries instead of {}", file.path, end.entries, entries.size()));
  }
  CentralDirectory directory(file, end);
  std::uint64_t expected_offset = 0;
  for (std::size_t i = 0; auto record = directory.next(); ++i) {
    const EntryView planned = entries.at(i);
    compare_with_plan(file, planned, *record);
    if (record->offset != expected_offset)
      throw differs(file, planned.name, "does not begin where the one before ends");
    expected_offset = read_local_header(file, *record) + record->compressed_bytes;
  }
  if (expected_offset != end.central_offset) {
    throw Error(ErrorKind::verify, fmt::format("{}: a gap before the central directory", file.path));
  }
  return directory.fingerprint();
}

namespace {

class ReportBuilder {
 public:
  void add(FindingKind kind, std::string text) {
    std::lock_guard lock(mutex_);
    // Threads find things in any order; the report is the same at every run: the worst first, and these by the
    // alphabet.
    findings_.insert({kind, std::move(text)});
    if (findings_.size() <= k_most) return;
    findings_.erase(std::prev(findings_.end()));
    ++more_;
  }
  // What reading threw, if it says that the archive is damaged; all else is thrown on.
  void add_damage(const ArchiveFile& file, const Error& error) {
    if (error.kind() != ErrorKind::corrupt) throw;
    std::string_view text = error.what();
    if (text.starts_with(file.path + ": ")) text.remove_prefix(file.path.size() + 2);
    add(FindingKind::damaged, std::string(text));
  }
  bool damaged() {
    std::lock_guard lock(mutex_);
    return !findings_.empty() && findings_.begin()->kind == FindingKind::damaged;
  }
  void move_to(VerifyReport& report) {
    report.findings.assign(findings_.begin(), findings_.end());
    report.more_findings = more_;
  }

 private:
  static constexpr std::size_t k_most = 100;
  std::mutex mutex_;
  std::multiset<Finding> findings_;
  std::size_t more_ = 0;
};

// Where every entry lies, to find overlaps once all are known: 16 bytes each.
using Extents = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

void report_overlaps(Extents& extents, const EndRecord& end, ReportBuilder& report) {
  std::sort(extents.begin(), extents.end());
  if (!extents.empty() && extents.back().second > end.central_offset) {
    report.add(FindingKind::damaged, "the last entry overlaps the central directory");
  }
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) {
      report.add(FindingKind::damaged, fmt::format("entries overlap at byte {}", extents[i].first));
    }
  }
  if (!extents.empty() && extents.front().first > end.shift && end.disk == 0) {
    report.add(FindingKind::unusual,
               fmt::format("{} bytes stand before the first entry", extents.front().first - end.shift));
  }
}

// Why the entry's data can't be decoded, or nullopt.
std::optional<std::string> unsupported(const CentralRecord& record) {
  if ((record.flags & k_flag_encrypted) != 0) return "is encrypted";
  if (record.method == static_cast<std::uint16_t>(Method::stored) ||
      record.method == static_cast<std::uint16_t>(Method::deflated)) {
    return std::nullopt;
  }
  return fmt::format("is compressed by {}; only stored and deflated entries are read", method_name(record.method));
}

// Whether a record of a split archive is of an entry in another part. Some programs count parts from 1, or wrongly:
// what is here is here.
bool lies_elsewhere(const ArchiveFile& file, const EndRecord& end, const CentralRecord& record) {
  if (end.disk == 0 || record.disk == end.disk) return false;
  if (record.offset > end.central_offset || record.compressed_bytes > end.central_offset - record.offset) return true;
  try {
    read_local_header(file, record);
    return false;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::corrupt) throw;
    return true;
  }
}

// The checks of all records, in the order of the central directory.
class Structure {
 public:
  Structure(const ArchiveFile& file, const EndRecord& end, VerifyReport& result, ReportBuilder& report)
      : file_(file), end_(end), result_(result), report_(report) {}

  void add(const CentralRecord& record) {
    ++result_.entries;
    try {
      check(record);
    } catch (const Error& problem) {
      report_.add_damage(file_, problem);
    }
  }
  void finish() {
    report_overlaps(extents_, end_, report_);
    if (other_disks_ > 0) {
      report_.add(FindingKind::unusual,
                  fmt::format("{} records name another part than the one they are in", other_disks_));
    }
  }

 private:
  void add_finding(FindingKind kind, const EntryText& name, std::string_view what) {
    report_.add(kind, fmt::format("entry '{}' {}", shown_name(name.text), what));
  }

  void check(const CentralRecord& record) {
    const EntryText name = name_of(record);
    check_name(record, name);
    if (!names_.insert(fingerprint_of(name.text), false)) {
      add_finding(FindingKind::policy, name, "has a name that occurs more than once");
    }
    const bool elsewhere = lies_elsewhere(file_, end_, record);
    const auto unread =
        elsewhere ? fmt::format("lies in part {} of the split archive", record.disk + 1U) : unsupported(record);
    if (unread) {
      ++result_.unread;
      add_finding(FindingKind::unsupported, name, *unread);
    }
    if (elsewhere) return;
    if (record.disk != end_.disk) ++other_disks_;
    const std::uint64_t data = read_local_header(file_, record);
    extents_.emplace_back(record.offset, end_of_entry(file_, record, data));
  }

  void check_name(const CentralRecord& record, const EntryText& name) {
    switch (name.source) {
      case TextSource::utf8:
        if (!is_ascii(record.name) && (record.flags & k_flag_utf8) == 0 && record.unicode_name.empty())
          add_finding(FindingKind::unusual, name, "has a name in UTF-8 without the flag that says so");
        break;
      case TextSource::unicode_field:
        add_finding(FindingKind::unusual, name, "has another name for programs that don't read its Unicode field");
        break;
      case TextSource::cp437:
        add_finding(FindingKind::unusual, name, "has a name that is not UTF-8; it is read as CP437");
        break;
      case TextSource::broken_utf8:
        add_finding(FindingKind::unusual, name, "has a name that is flagged as UTF-8 and is not");
        break;
    }
    // Both names have to be harmless, for a program may take either.
    auto problem = name.source == TextSource::broken_utf8 ? std::nullopt : name_problem(name.text);
    if (!problem && name.source != TextSource::utf8) problem = name_problem(from_cp437(record.name));
    if (problem) add_finding(FindingKind::policy, name, *problem);
  }

  const ArchiveFile& file_;
  const EndRecord& end_;
  VerifyReport& result_;
  ReportBuilder& report_;
  Extents extents_;
  FingerprintSet names_;
  std::uint64_t other_disks_ = 0;
};

// Everything but the data: cheap, and what decoding can rely on afterwards. Entries that overlap could be made to
// decode for ever (a bomb), so nothing is decoded then.
void check_structure(const ArchiveFile& file, const EndRecord& end, const std::stop_token& stop, VerifyReport& result,
                     ReportBuilder& report) {
  Structure structure(file, end, result, report);
  CentralDirectory directory(file, end);
  while (auto record = directory.next()) {
    if (stop.stop_requested()) throw Error(ErrorKind::stopped, "verification was stopped");
    structure.add(*record);
  }
  result.fingerprint = directory.fingerprint();
  structure.finish();
}

// Runs checks on the pool, a few ahead of its threads, and reports the damage that they throw.
class Checks {
 public:
  Checks(const ArchiveFile& file, ThreadPool& pool, ReportBuilder& report)
      : file_(file), pool_(pool), report_(report) {}
  ~Checks() { wait_until_at_most(0); }
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;

  template <class Check>
  void submit(Check check) {
    // Enough for every thread to have work waiting; records in flight hold a name each.
    wait_until_at_most(std::size_t{4} * pool_.size() - 1);
    {
      std::lock_guard lock(mutex_);
      ++running_;
    }
    pool_.submit([this, check = std::move(check)] {
      std::exception_ptr trouble;
      try {
        report_damage_of(check);
      } catch (...) {
        trouble = std::current_exception();
      }
      std::lock_guard lock(mutex_);
      if (trouble && !trouble_) trouble_ = trouble;
      --running_;
      idle_.notify_all();
    });
  }
  // Whether some check met what is not the archive's fault.
  bool in_trouble() {
    std::lock_guard lock(mutex_);
    return trouble_ != nullptr;
  }
  // Waits for all, and throws the first trouble.
  void finish() {
    wait_until_at_most(0);
    if (trouble_) std::rethrow_exception(trouble_);
  }

 private:
  template <class Check>
  void report_damage_of(const Check& check) {
    try {
      check();
    } catch (const Error& problem) {
      report_.add_damage(file_, problem);
    }
  }
  void wait_until_at_most(std::size_t count) {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return running_ <= count; });
  }

  const ArchiveFile& file_;
  ThreadPool& pool_;
  ReportBuilder& report_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;
  std::exception_ptr trouble_;
};

// Decodes every entry on the pool, a large one in parts.
void check_data(const ArchiveFile& file, const EndRecord& end, ThreadPool& pool, const std::stop_token& stop,
                ReportBuilder& report) {
  CentralDirectory directory(file, end);
  Checks checks(file, pool, report);
  while (auto record = directory.next()) {
    if (stop.stop_requested() || checks.in_trouble()) break;
    if (unsupported(*record) || lies_elsewhere(file, end, *record)) continue;
    if (!PartedEntry::is_worth_it(*record)) {
      checks.submit([&file, &stop, record = std::move(*record)] {
        verify_data(file, record, read_local_header(file, record), stop);
      });
      continue;
    }
    const std::uint64_t data = read_local_header(file, *record);
    const auto entry = std::make_shared<PartedEntry>(file, std::move(*record), data);
    for (std::size_t part = 0; part < entry->parts() && !stop.stop_requested(); ++part) {
      checks.submit([entry, part, &stop] { entry->verify(part, stop); });
    }
  }
  checks.finish();
}

}  // namespace

VerifyReport verify_archive(const ArchiveFile& file, ThreadPool& pool, const std::stop_token& stop) {
  VerifyReport result;
  ReportBuilder report;
  try {
    const ArchiveEnd found = locate_end(file);
    for (const Finding& finding : found.findings) report.add(finding.kind, finding.text);
    if (found.end) {
      check_structure(file, *found.end, stop, result, report);
      if (!report.damaged()) check_data(file, *found.end, pool, stop, report);
    }
    if (stop.stop_requested()) throw Error(ErrorKind::stopped, "verification was stopped");
  } catch (const Error& problem) {
    report.add_damage(file, problem);
  }
  report.move_to(result);
  return result;
}

}  // namespace zipmodule::zip
