// Is a finished archive what it should be?
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "zip/entry.hpp"
#include "zip/finding.hpp"
#include "zip/reader.hpp"

namespace zipmodule::zip {

// Reads an archive that write_archive made back from the file and compares it with its plan: every name, size, time and
// kind, in order; every local header; no gap and no overlap from the first byte to the last; the number of entries.
// Data is not decoded again: the writer has checked it before writing. Throws Error{verify} naming the entry. Returns
// the fingerprint.
std::string verify_against_plan(const ArchiveFile& file, const EntryList& entries);

struct VerifyReport {
  std::uint64_t entries = 0;
  std::uint64_t unread = 0;       // entries whose data was not decoded, for it is unsupported
  std::vector<Finding> findings;  // sorted, the worst first; at most 100
  std::size_t more_findings = 0;  // than these
  std::string fingerprint;        // empty where the central directory is broken

  // A plain archive of nothing but what we would write.
  bool ok() const noexcept { return findings.empty(); }
  bool damaged() const noexcept { return !findings.empty() && findings.front().kind == FindingKind::damaged; }
};

// Checks anyone's archive: structure, overlaps (unzip calls those a bomb), local headers against central directory,
// names, and decodes every entry on the pool. Damage is only what was read and found wrong: where the file can't be
// read, that is thrown. Throws Error{io, stopped, internal}.
VerifyReport verify_archive(const ArchiveFile& file, ThreadPool& pool, const std::stop_token& stop);

}  // namespace zipmodule::zip
