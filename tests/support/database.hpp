// A fresh PostgreSQL database for every test.
#pragma once

#include <string>

#include "queue/connection.hpp"

struct pg_conn;

namespace zipmodule::test {

// The server that tests use: the unix socket directory in ZIPMODULE_TEST_PG_HOST, as ZIPMODULE_TEST_PG_USER or postgres,
// who must be a superuser. Fails the test, with a hint, where the variable is not set.
class TestDatabase {
 public:
  enum class Schema { migrated, none };

  // Creates a database with a unique name; a migrated one is copied from a template that each process makes once.
  // Thread-safe.
  explicit TestDatabase(Schema schema = Schema::migrated);
  // Drops it, over the heads of those still connected.
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const noexcept { return name_; }
  // For the superuser, or for `user`.
  std::string dsn(const std::string& user = {}) const;
  queue::ConnectionOptions options(const std::string& user = {}) const { return {dsn(user), "zipmodule-test"}; }

  // Runs SQL as the superuser (or `user`), outside a transaction where it is one statement; returns the first field of the
  // first row as text, "" where there is none or it is null. Throws std::runtime_error with the server's message.
  std::string sql(const std::string& text, const std::string& user = {}) const;

 private:
  std::string name_;
};

// A connection that stays open, for what is to happen inside of a transaction. Not thread-safe.
class Session {
 public:
  explicit Session(const TestDatabase& database, const std::string& user = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // As TestDatabase::sql.
  std::string sql(const std::string& text);

 private:
  pg_conn* connection_;
};

}  // namespace zipmodule::test
