// One attempt at one job: everything between the claim and the commit. The place where a job's errors are caught.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include "archive/builder.hpp"
#include "base/clock.hpp"
#include "queue/job.hpp"
#include "run/leases.hpp"

namespace zipmodule::run {

// A claimed job on its way through the run.
struct Work {
  queue::ClaimedJob job;
  std::shared_ptr<HeldLease> held;
};

// The revision was built before and its file is still good: only the link is to be switched.
struct AlreadyBuilt {
  queue::BuildRecord build;
};

// The same, but the file is gone, changed or in another host's store, as the attempt's error tells: it has to be
// forgotten before the revision can be built again.
struct UselessBuild {
  queue::BuildRecord build;
};

struct AttemptResult {
  Work work;
  // A file in the store to be committed; a failure; or a build that was there already.
  std::variant<queue::BuildRecord, queue::Failure, AlreadyBuilt, UselessBuild> what;
  queue::Attempt attempt;  // for all but a failure, which has its own
  Stopwatch since_build;   // for commit_seconds
};

// What the builder is asked for; `default_level` where the job names none.
archive::BuildRequest build_request(const queue::ClaimedJob& job, zip::Level default_level);

// The job's build, where it is good and in this store: what the next one takes unchanged entries from.
std::optional<archive::StoredFile> older_build(const queue::ClaimedJob& job, const archive::Store& store);

// What jobs may leave to the configuration.
struct JobDefaults {
  zip::Level level = zip::Level::balanced;
  std::set<std::string> targets;         // all that a job can be delivered to
  std::function<void()> before_build{};  // called before anything is built; may throw
};

// Builds the job. Never throws.
AttemptResult attempt_job(Work work, const archive::Builder& builder, const archive::Store& store,
                          const JobDefaults& defaults);

// The file that the database knows.
archive::StoredFile stored_file(const queue::BuildRecord& build);

// Whether an error means that the store's disk needs a person, not the job.
bool is_disk_trouble(const std::string& error_kind);

}  // namespace zipmodule::run
