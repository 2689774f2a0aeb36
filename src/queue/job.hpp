// What the queue hands out and takes back. Plain values; owned by whoever holds them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zipmodule::queue {

// A worker's right to build one revision of one job. The token rises with every claim of the job, so that whoever holds
// an older one can commit nothing.
struct Lease {
  std::int64_t job_id = 0;
  std::int64_t token = 0;
  std::int64_t revision = 0;
};

// One immutable file in this host's archive store, as the database knows it.
struct BuildRecord {
  std::string build_id;  // 32 lowercase hex digits, random
  std::uint64_t size_bytes = 0;
  std::uint64_t entries = 0;
  std::string fingerprint;    // equal fingerprints: equal names, sizes, times and CRCs in equal order
  std::int64_t mtime_ns = 0;  // of the file when it was committed; another value means a hand was on it
};

struct ClaimedJob {
  Lease lease;
  std::string series;
  std::string archive;
  std::string files_json;  // the array of CONTRACT.md, validated by publish
  std::string metadata_json;
  std::string on_missing;              // 'fail' or 'skip'
  std::optional<std::string> level;    // nullopt: the configured one
  int attempt = 1;                     // 1 for the first try at this revision
  std::int64_t built_revision = 0;     // 0: nothing built. Equal to lease.revision: built, but maybe not linked
  std::optional<BuildRecord> current;  // the build of built_revision
  std::string elsewhere;               // the host in whose store that is, where it is not the claimer's
  std::vector<std::string> deliver{};  // the targets that it names; none: all that its builder has, or none at all
};

enum class Outcome { done, failed, retry, lost, skipped, cancelled };
const char* to_string(Outcome outcome) noexcept;  // as in telemetry.outcome

// Seconds and counts of one attempt, as telemetry keeps them. read, compress and write are summed over threads.
struct Measurements {
  double build_seconds = 0;  // from the start of the attempt to its end, wall clock, without the commit
  double plan_seconds = 0;
  double read_seconds = 0;
  double compress_seconds = 0;
  double write_seconds = 0;
  double sync_seconds = 0;
  double commit_seconds = 0;  // from the end of the build to the commit statement
  double cpu_seconds = 0;
  std::uint64_t files = 0;
  std::uint64_t files_reused = 0;
  std::uint64_t files_missing = 0;
  std::uint64_t files_excluded = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

struct Attempt {
  Lease lease;
  Outcome outcome = Outcome::done;
  std::string error_kind;  // the text code of base/error.hpp; empty when done
  std::string error;
  std::vector<std::string> missing;  // sources left out under on_missing => 'skip', at most 1,000 of them
  Measurements measured;
};

struct Completion {
  Attempt attempt;  // outcome done
  BuildRecord build;
};

struct Failure {
  Attempt attempt;        // outcome failed, retry, skipped or cancelled
  bool counts = true;     // whether this try is counted towards max_attempts
  bool retryable = true;  // false: the job is failed at once
  // Seconds until the next try, where it is not failed; nullopt: exponential backoff by the number of counted attempts,
  // 10 s doubled each time, at most 1 h, plus up to 10 % at random.
  std::optional<double> retry_after_seconds;
};

// What a heartbeat reports of one lease and learns about it.
struct LeaseProgress {
  Lease lease;
  double progress = 0;  // 0..1
};
enum class LeaseState { held, lost, cancelled };

}  // namespace zipmodule::queue
