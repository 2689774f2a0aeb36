#include "zip/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "zip/entry_data.hpp"
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
  if (floor_seconds(found.mtime) != floor_seconds(planned.mtime)) throw differs(file, planned.name, "has another time");
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
  void add(std::string problem) {
    std::lock_guard lock(mutex_);
    // Threads find problems in any order; the report is the same at every run: the first ones by the alphabet.
    problems_.insert(std::move(problem));
    if (problems_.size() <= k_most) return;
    problems_.erase(std::prev(problems_.end()));
    ++more_;
  }
  bool empty() {
    std::lock_guard lock(mutex_);
    return problems_.empty();
  }
  std::vector<std::string> take() {
    std::vector<std::string> problems(problems_.begin(), problems_.end());
    if (more_ > 0) problems.push_back(fmt::format("and {} more problems", more_));
    return problems;
  }

 private:
  static constexpr std::size_t k_most = 100;
  std::mutex mutex_;
  std::multiset<std::string> problems_;
  std::size_t more_ = 0;
};

// Where every entry lies, to find overlaps once all are known: 16 bytes each.
using Extents = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

void report_overlaps(Extents& extents, std::uint64_t central_offset, ReportBuilder& report) {
  std::sort(extents.begin(), extents.end());
  if (!extents.empty() && extents.back().second > central_offset) {
    report.add("the last entry overlaps the central directory");
  }
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) {
      report.add(fmt::format("entries overlap at byte {}", extents[i].first));
    }
  }
}

// One entry's headers. Returns where its data begins.
std::uint64_t check_entry(const ArchiveFile& file, const CentralRecord& record, Extents& extents,
                          ReportBuilder& report) {
  if (const auto problem = name_problem(record.name)) {
    report.add(fmt::format("entry '{}' {}", shown_name(record.name), *problem));
  }
  const std::uint64_t data = read_local_header(file, record);
  extents.emplace_back(record.offset, end_of_entry(file, record, data));
  return data;
}

// Everything but the data: cheap, and what decoding can rely on afterwards. Entries that overlap could be made to decode
// for ever (a bomb), so nothing is decoded then.
void check_structure(const ArchiveFile& file, const EndRecord& end, const std::stop_token& stop, VerifyReport& result,
                     ReportBuilder& report) {
  Extents extents;
  CentralDirectory directory(file, end);
  while (auto record = directory.next()) {
    if (stop.stop_requested()) throw Error(ErrorKind::stopped, "verification was stopped");
    ++result.entries;
    try {
      check_entry(file, *record, extents, report);
    } catch (const Error& problem) {
      report.add(problem.what());
    }
  }
  result.fingerprint = directory.fingerprint();
  report_overlaps(extents, end.central_offset, report);
}

// Runs checks on the pool, a few ahead of its threads, and reports what they throw.
class Checks {
 public:
  Checks(ThreadPool& pool, ReportBuilder& report) : pool_(pool), report_(report) {}
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
      try {
        check();
      } catch (const std::exception& problem) {
        report_.add(problem.what());
      }
      std::lock_guard lock(mutex_);
      --running_;
      idle_.notify_all();
    });
  }

 private:
  void wait_until_at_most(std::size_t count) {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return running_ <= count; });
  }

  ThreadPool& pool_;
  ReportBuilder& report_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;
};

// Decodes every entry on the pool, a large one in parts.
void check_data(const ArchiveFile& file, const EndRecord& end, ThreadPool& pool, const std::stop_token& stop,
                ReportBuilder& report) {
  CentralDirectory directory(file, end);
  Checks checks(pool, report);
  while (auto record = directory.next()) {
    if (stop.stop_requested()) break;
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
}

}  // namespace

VerifyReport verify_archive(const ArchiveFile& file, ThreadPool& pool, const std::stop_token& stop) {
  VerifyReport result;
  ReportBuilder report;
  try {
    const EndRecord end = read_end_record(file);
    check_structure(file, end, stop, result, report);
    if (report.empty()) check_data(file, end, pool, stop, report);
    if (stop.stop_requested()) throw Error(ErrorKind::stopped, "verification was stopped");
  } catch (const Error& problem) {
    if (problem.kind() == ErrorKind::stopped) throw;
    report.add(problem.what());
  }
  result.problems = report.take();
  return result;
}

}  // namespace zipmodule::zip
