// One connection to PostgreSQL. Private to src/queue and its tests: no other folder includes <pqxx/pqxx>, so this header
// only declares it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace zipmodule::queue {

// How long the server lets a session be; zero leaves it to the server's own settings. What the dsn's or PGOPTIONS'
// `options` say of one of them wins.
struct SessionLimits {
  std::chrono::milliseconds statement{0};            // a statement, but not its commit
  std::chrono::milliseconds lock{0};                 // waiting for a lock
  std::chrono::milliseconds idle_in_transaction{0};  // between two statements of a transaction: its session is ended

  bool operator==(const SessionLimits&) const = default;
};

// How to reach the database. Used from one thread at a time; every thread that needs the database has its own.
struct ConnectionOptions {
  std::string dsn;               // libpq string or URI, several hosts included; PG* variables fill the rest
  std::string application_name;  // shown in pg_stat_activity
  SessionLimits limits{};
};

class Connection;  // see connection_impl.hpp (src/queue only)

// The dsn without its password, for messages.
std::string redacted(const std::string& dsn);

}  // namespace zipmodule::queue
