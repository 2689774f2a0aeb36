// Is a finished archive what it should be?
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "zip/entry.hpp"
#include "zip/reader.hpp"

namespace zipmodule::zip {

// Reads an archive that write_archive made back from the file and compares it with its plan: every name, size, time and
// kind, in order; every local header; no gap and no overlap from the first byte to the last; the number of entries.
// Data is not decoded again: the writer has checked it before writing. Throws Error{verify} naming the entry. Returns the
// fingerprint.
std::string verify_against_plan(const ArchiveFile& file, const EntryList& entries);

struct VerifyReport {
  std::uint64_t entries = 0;
  std::vector<std::string> problems;  // at most 100, then a line that says how many more
  std::string fingerprint;            // empty where the central directory is broken
  bool ok() const noexcept { return problems.empty(); }
};

// Checks anyone's archive: structure, overlaps (unzip calls those a bomb), local headers against central directory, names,
// and decodes every entry on the pool. Throws only Error{io, stopped}.
VerifyReport verify_archive(const ArchiveFile& file, ThreadPool& pool, const std::stop_token& stop);

}  // namespace zipmodule::zip
