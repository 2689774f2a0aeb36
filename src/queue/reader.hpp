// Looking at the queue without changing anything: status, explain, check.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/connection.hpp"

namespace zipmodule::queue {

// One row of zipmodule.job_status; times are ISO 8601 in UTC, empty where null.
struct JobStatus {
  std::int64_t job_id = 0;
  std::string series, archive, lane, state;
  int priority = 0;
  std::int64_t wanted_revision = 0, built_revision = 0;
  std::string published_at, due_at;
  int attempts = 0;
  double progress = 0;
  std::optional<std::int64_t> queue_position;  // 1 = next; null unless pending
  std::string path;                            // of the current build, below archives.root; empty if none
  std::optional<std::uint64_t> bytes, entries;
  std::string fingerprint, last_error_kind, last_error, metadata_json;
};

// Of the current build, at one target.
struct DeliveryStatus {
  std::string target, state;  // 'pending', 'waiting' for its next try, 'delivered'
  bool required = false;
  int attempts = 0;           // that failed
  double due_in_seconds = 0;  // negative: overdue
  std::string delivered_at, last_error_kind, last_error;
  std::string instance;  // whose runs deliver it
};

struct JobDetail {
  JobStatus status;
  double age_seconds = 0;     // since published_at, by the database's clock
  double due_in_seconds = 0;  // negative: overdue
  std::string lease_by;       // instance that holds it, empty if none
  double lease_left_seconds = 0;
  std::string files_json;
  std::string on_missing;
  std::string store;        // whose hosts are to build it; empty: all hosts
  bool store_known = true;  // whether some host has that store, by its newest run
  std::vector<DeliveryStatus> deliveries{};
  std::vector<std::string> recent_attempts_json;  // rows of zipmodule.telemetry, all columns, newest first
};

struct QueueHealth {
  std::int64_t pending = 0, waiting = 0, running = 0, failed = 0, delivering = 0, done = 0, cancelled = 0;
  std::int64_t undelivered = 0;        // copies that are to go somewhere, wherever
  double oldest_delivery_seconds = 0;  // how long the oldest of them has been on its way
  double oldest_due_seconds = 0;       // how long the oldest due job has been waiting
  std::string last_run_json;           // newest row of zipmodule.run, all columns; empty if none
  int server_version = 0;              // e.g. 150018
};

struct WaitingStore {
  std::string store;
  std::uint64_t jobs = 0;
};

// Not thread-safe. Throws Error{database}, Error{database_setup}.
class Reader {
 public:
  explicit Reader(const ConnectionOptions& options);
  ~Reader();

  // All jobs, those of a series, or one; ordered by series and archive. At most `most` rows.
  std::vector<JobStatus> status(const std::optional<std::string>& series, const std::optional<std::string>& archive,
                                std::size_t most = 10'000);
  std::optional<JobDetail> detail(const std::string& series, const std::string& archive, std::size_t attempts = 5);
  QueueHealth health();
  // Due jobs that nobody will build: published for stores that no host has, by its newest run.
  std::vector<WaitingStore> stores_without_host();

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace zipmodule::queue
