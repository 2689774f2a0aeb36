// Whether a build in the store is still the one that was published.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "archive/store.hpp"
#include "base/thread_pool.hpp"

namespace zipmodule::archive {

struct ExpectedBuild {
  StoredFile file;
  std::string fingerprint;
};

struct AuditResult {
  bool good = true;
  std::string problem;  // what is wrong, for a person: names the file
  // Where a touched file turned out to be whole: its present time, to be recorded.
  std::optional<std::int64_t> new_mtime_ns;
};

// What is wrong with a build in this state, for a person: names its file. Empty for a good one.
std::string problem_of(BuildState state, const ExpectedBuild& expected);

// Looks at size and modification time, and decodes and checks every byte where those say that a hand was on it, or with
// `deep`. Throws Error{io} where the file can't be looked at, which says nothing about it, and Error{stopped}.
AuditResult audit_build(const Store& store, const ExpectedBuild& expected, bool deep, ThreadPool& pool,
                        const std::stop_token& stop);

}  // namespace zipmodule::archive
