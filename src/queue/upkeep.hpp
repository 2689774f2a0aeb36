// What keeps the tables small, and what tells how they and the queue are.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/connection.hpp"

namespace zipmodule::queue {

// The queue in figures, cheap enough for every run and every minute: one pass over the jobs.
struct Gauges {
  std::int64_t due = 0, waiting = 0, running = 0, failed = 0;  // running: leases that have not run out
  double oldest_due_seconds = 0;                               // how long the oldest due job has been due; 0: none is
  double oldest_pending_seconds = 0;      // since the oldest unbuilt job became pending, also while it waits or runs
  std::optional<double> success_seconds;  // since the last run that ended well; empty: none is known
  std::optional<double> success_at;       // when that was, in seconds since 1970
  bool host_known = true;                 // whether the host that was asked for ever ran
  std::int64_t undelivered = 0;           // copies that are to go to some target
  double oldest_delivery_seconds = 0;     // how long the oldest of them has been on its way
  std::int64_t unseen_stores = 0;         // with current archives, and no run has seen them for an hour
};

struct HotTable {
  std::int64_t live = 0, dead = 0;  // rows, as the server's statistics have them
  std::uint64_t bytes = 0;          // with indexes and what is stored out of line
  std::optional<double> vacuumed_seconds;
};

// Something that keeps vacuum from removing dead rows of this database.
struct VacuumHolder {
  std::string kind;  // "transaction", "prepared", "slot", "standby"
  std::string name;  // "pid 123", a prepared transaction's or a slot's name
  std::string user, application;
  std::optional<double> seconds;  // how old; empty for a slot or standby: only transactions tell
  std::int64_t transactions = 0;  // that began since
};

struct Sessions {
  bool all_seen = false;  // whether vacuum_holders sees those of all roles
  std::string owner;      // of the schema's functions, who would need pg_read_all_stats
};

// One connection, made at the first use; not thread-safe. Throws Error{database}, Error{database_setup}.
class Upkeep {
 public:
  // No statement may take longer than `patience`; 0: no limit.
  explicit Upkeep(ConnectionOptions options, std::chrono::milliseconds patience = std::chrono::milliseconds(0));
  ~Upkeep();

  // Notes in the database that its tables are pruned now; false, and nothing noted, where a run of any host did so
  // within `interval`.
  bool begin(std::chrono::seconds interval);

  // Removes attempts, those of deliveries, or runs, that ended longer ago than `keep`, oldest first, at most `batch`
  // rows to a transaction of its own. Before each of them `go_on` is asked. Returns how many went. The newest run of
  // each instance stays.
  std::uint64_t prune_telemetry(std::chrono::seconds keep, std::size_t batch, const std::function<bool()>& go_on);
  std::uint64_t prune_deliveries(std::chrono::seconds keep, std::size_t batch, const std::function<bool()>& go_on);
  std::uint64_t prune_runs(std::chrono::seconds keep, std::size_t batch, const std::function<bool()>& go_on);

  // `host`: whose runs count; all where empty.
  Gauges gauges(const std::string& host = {});
  HotTable hot_table();
  // What is older than `age`; of what has no time, what is more than `transactions` behind.
  std::vector<VacuumHolder> vacuum_holders(std::chrono::seconds age, std::int64_t transactions);
  Sessions sessions();

 private:
  std::uint64_t prune(const char* statement, std::chrono::seconds keep, std::size_t batch,
                      const std::function<bool()>& go_on);

  const std::chrono::milliseconds patience_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace zipmodule::queue
