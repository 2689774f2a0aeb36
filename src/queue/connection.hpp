// One connection to PostgreSQL. Private to src/queue and its tests: no other folder includes <pqxx/pqxx>, so this header
// only declares it.
#pragma once

#include <memory>
#include <string>

namespace zipmodule::queue {

// How to reach the database. Used from one thread at a time; every thread that needs the database has its own.
struct ConnectionOptions {
  std::string dsn;               // libpq string or URI; PG* variables fill the rest
  std::string application_name;  // shown in pg_stat_activity
};

class Connection;  // see connection_impl.hpp (src/queue only)

// The dsn without its password, for messages.
std::string redacted(const std::string& dsn);

}  // namespace zipmodule::queue
