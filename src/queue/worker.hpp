// What a run does with the queue. The only place that claims, extends, commits and releases.
//
// Life of a claim: claim -> (extend)* -> commit -> [link switched by the caller] -> release
//                  claim -> (extend)* -> fail | give_back
// A crash leaves a lease whose token nobody uses any more; recover() (same instance) or an expired lease (any instance)
// ends it, with a telemetry row 'lost'.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/connection.hpp"
#include "queue/job.hpp"

namespace zipmodule::queue {

class Claimer;   // src/queue only
struct Settled;  // src/queue only

// A target of deliveries, as far as the queue has to know it.
struct DeliveryTarget {
  std::string name;
  bool required = false;  // a job is not done before its build is there
  std::string place{};    // where that is; another place: all is delivered again

  bool operator==(const DeliveryTarget&) const = default;
};

struct WorkerOptions {
  ConnectionOptions connection;
  std::string host;                     // for telemetry and messages
  std::string instance;                 // the id of the archive store, from its marker
  std::string path;                     // where the store is mounted, for people
  std::string store;                    // builds the jobs published for this store, and those for none
  std::vector<DeliveryTarget> targets;  // to which what it builds is delivered
  unsigned lane_max = 0;  // most jobs of a lane that run at once, over all hosts that have it set; 0: no limit
  std::chrono::seconds lease{60};
  int max_attempts = 5;
};

struct RunSummary {
  std::uint64_t claimed = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::string outcome;  // 'done', 'failed' (some job failed), 'stopped', 'timeout', 'database', 'error'
};

// A build of this instance that is current or retired.
struct StoredBuild {
  BuildRecord build;
  std::int64_t job_id = 0;
  std::string series;
  std::string archive;
  bool awaits_link = false;  // committed, and its public name may not lead to it yet
};

// What the database knows of a store, and of the place where it was found.
struct StoreIdentity {
  std::string database;  // the database's id
  bool known = false;
  std::string token;     // of the store's newest run
  std::string at_place;  // id of the store that was last seen at this host and path; empty: none
  bool at_place_has_builds = false;
};

// What became of a damaged build.
enum class Forgotten {
  no,         // left as it was
  rebuilds,   // its job is due
  cancelled,  // what is wanted now was cancelled: nothing is built until a retry or a publish
};

// One connection; used from one thread at a time. Every call throws Error{database} when the connection is lost or
// can't be made; the object may be used again afterwards: the next call connects anew (no session state is kept).
class Worker {
 public:
  explicit Worker(WorkerOptions options);  // does not connect yet
  ~Worker();

  // What is known of the store `id` (may be empty), and of the one last seen at the options' host and path.
  StoreIdentity identify(const std::string& id);
  // Whether a run of this store with that token is known.
  bool knows_run(const std::string& store, const std::string& token);

  // Inserts the run row; returns its id. Retires deliveries that nobody will make any more; after a run that did not
  // end by itself, those of its jobs are looked at again. `token`: 32 hexadecimal digits, which the store's marker has
  // as well.
  struct Begun {
    std::int64_t run_id = 0;
    bool previous_clean = true;  // this instance's last run ended by itself
    bool sweeps = false;         // builds that the database does not know are to be looked for
  };
  Begun begin_run(int pid, const std::string& version, const std::string& token);
  void finish_run(std::int64_t run_id, const RunSummary& summary);
  // This instance lives, for a lease's time at least.
  void note_alive();
  // Publishes notify for so long; 0: from now on they don't.
  void note_listening(std::chrono::seconds time);

  // Ends all leases this instance still holds from earlier runs, each with a telemetry row 'lost' (unless it was
  // already committed), and makes their jobs due: at once for the first two losses in a row, then after a growing
  // pause, and failed after 4 x max_attempts of them. To be called with the lock held, before the first claim. Returns
  // how many. A job that an uncommitted publish has locked just now is left until its lease runs out.
  std::uint64_t recover(std::int64_t run_id);

  // Claims up to `most` due jobs: by priority, then in turns of their lanes; one in eight calls begins with what has
  // waited longest. Expired leases of others are taken over.
  std::vector<ClaimedJob> claim(std::int64_t run_id, std::size_t most);
  // The same list as claim would see, without locking or changing anything.
  std::vector<ClaimedJob> peek(std::size_t most);
  // Seconds until the next job of this store that waits for its time is due, 0 or less where it is; nullopt: none
  // waits.
  std::optional<double> next_due();

  // Extends the leases and writes progress, in one statement. The answer is in the order of `leases`. Never waits for a
  // publisher: a job that an uncommitted publish has locked is answered held, and extended by a later call.
  std::vector<LeaseState> extend(const std::vector<LeaseProgress>& leases);

  // Marks the revisions built, inserts build and telemetry rows and retires the builds they replace, in one
  // transaction, and notes where the new ones are to be delivered. answer[i] is false where the lease was lost or the
  // job cancelled: nothing of it was stored then, except a telemetry row (outcome lost or cancelled) if there was none
  // for that token. After an Error{database} the fate of the commit is unknown: call again with the same arguments;
  // what was stored before is recognised by its build_id and answered true. The leases stay, for the link. Like
  // release, release_unbuilt, fail and give_back it never waits: see left_busy().
  std::vector<bool> commit(std::int64_t run_id, const std::vector<Completion>& completions);

  // Ends the leases of jobs whose builds are committed and linked; the jobs are done now, or pending again where a
  // newer revision is wanted. answer[i] is false where the lease had been lost: the link must be checked against
  // current().
  std::vector<bool> release(const std::vector<Lease>& leases);

  // For a claim that found its revision built already and only switched the link: release, with a telemetry row
  // 'skipped'.
  std::vector<bool> release_unbuilt(std::int64_t run_id, const std::vector<Attempt>& attempts);

  // Ends attempts that did not come to a build. Guarded by the token like commit; answers alike. Telemetry says
  // 'failed' where that ended the job and 'retry' where another try follows, whichever of the two the attempt had. A
  // revision that is built and only wants its link is never ended as failed.
  std::vector<bool> fail(std::int64_t run_id, const std::vector<Failure>& failures);

  // Gives leases back, without counting an attempt: telemetry 'retry', with the attempt's kind, 'stopped' if it has
  // none.
  void give_back(std::int64_t run_id, const std::vector<Attempt>& attempts);

  // Which items the last of these five calls left alone, and answered false, because a publish with an open transaction
  // has their jobs locked: to be tried again.
  const std::vector<bool>& left_busy() const noexcept { return busy_; }

  // The current build of a job, of any instance, or nullopt.
  std::optional<StoredBuild> current(std::int64_t job_id);

  // When builds that the database does not know are looked for again; nullopt: after the next run that does not end by
  // itself.
  void note_sweep(std::optional<std::chrono::seconds> again);
  // Which of the given build ids the database knows to be in this store.
  std::vector<std::string> known_builds(const std::vector<std::string>& build_ids);

  // Current builds of this instance in build_id order, after `after_id` (empty: from the start), at most `most`.
  std::vector<StoredBuild> builds_after(const std::string& after_id, std::size_t most);
  // For `zipmodule store`: see adopt_build.sql, adopt_store.sql, skip_tokens.sql, renew_database.sql.
  bool adopt_build(const std::string& series, const std::string& archive, const BuildRecord& build);
  void adopt_store();
  void skip_tokens();
  std::string renew_database();
  // The other stores with current builds, for people: "/srv/archives of host a, last seen ...". Empty: none.
  std::string builds_elsewhere(const std::string& id);
  // Any current builds of the store `id`, at most `most`.
  std::vector<StoredBuild> builds_of(const std::string& id, std::size_t most);
  // The audit's bookmark of this instance, so that large stores are audited over several runs.
  std::string audit_cursor();
  void set_audit_cursor(const std::string& build_id);
  // A build that an audit found damaged or gone: forgets it, makes its job due for a rebuild, and inserts a row of
  // telemetry, kind 'corrupt', outcome 'retry' where it is built again and 'failed' where not. Does nothing where the
  // build is no longer the current one, or a publish with an open transaction has its job locked.
  Forgotten forget_build(std::int64_t run_id, const std::string& build_id, const std::string& problem);
  // The same for one that a claim found of no use: the row is that of the attempt, with its kind and text. Its lease
  // stays.
  Forgotten forget_build(std::int64_t run_id, const std::string& build_id, const Attempt& found_by);
  // After a full check found a touched file good: its new modification time.
  void note_mtime(const std::string& build_id, std::int64_t mtime_ns);

  // Marks up to `most` builds of this instance, retired longer than `grace` ago, as deleting, and returns them; also
  // those marked by an earlier run. None of a job whose current build is not released yet: its link may lead to an
  // older one. The caller removes the files, then calls remove_builds.
  std::vector<StoredBuild> collect_garbage(std::chrono::seconds grace, std::size_t most);
  void remove_builds(const std::vector<std::string>& build_ids);

 private:
  std::vector<bool> answer(Settled settled);
  Forgotten forget(std::int64_t run_id, const std::string& build_id, const Attempt& found_by, const char* token);

  WorkerOptions options_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Claimer> claimer_;
  std::vector<bool> busy_;
};

}  // namespace zipmodule::queue
