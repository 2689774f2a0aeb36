#include "support/database.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>

#include "queue/migrations.hpp"

namespace zipmodule::test {
namespace {

struct ConnectionFreer {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ResultFreer {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};

std::string server_dsn(const std::string& database, const std::string& user) {
  const char* host = std::getenv("ZIPMODULE_TEST_PG_HOST");
  if (host == nullptr) {
    throw std::runtime_error("ZIPMODULE_TEST_PG_HOST is not set: no PostgreSQL to test against; run: scripts/test db");
  }
  const char* superuser = std::getenv("ZIPMODULE_TEST_PG_USER");
  return fmt::format("host='{}' dbname='{}' user='{}'", host, database,
                     !user.empty() ? user : (superuser != nullptr ? superuser : "postgres"));
}

PGconn* connect(const std::string& dsn) {
  PGconn* connection = PQconnectdb(dsn.c_str());
  if (PQstatus(connection) != CONNECTION_OK) {
    const std::string message = PQerrorMessage(connection);
    PQfinish(connection);
    throw std::runtime_error(message);
  }
  PQsetClientEncoding(connection, "UTF8");
  return connection;
}

std::string run_sql(PGconn* connection, const std::string& text) {
  const std::unique_ptr<PGresult, ResultFreer> result(PQexec(connection, text.c_str()));
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(PQresultErrorMessage(result.get()));
  }
  return PQntuples(result.get()) > 0 && PQnfields(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

std::string run_sql(const std::string& dsn, const std::string& text) {
  const std::unique_ptr<PGconn, ConnectionFreer> connection(connect(dsn));
  return run_sql(connection.get(), text);
}

std::string unique_name() {
  static std::atomic<unsigned> counter{0};
  return fmt::format("zipmodule_test_{}_{:x}_{}", ::getpid(), std::random_device{}(), ++counter);
}

void drop(const std::string& name) noexcept {
  try {
    run_sql(server_dsn("postgres", {}), fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "test database %s is left behind: %s\n", name.c_str(), error.what());
  }
}

// Made once per process, dropped at its end.
class Template {
 public:
  Template() : name_(unique_name()) {
    run_sql(server_dsn("postgres", {}), fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name_));
    queue::migrate({server_dsn(name_, {}), "zipmodule-test"}, false);
  }
  ~Template() { drop(name_); }
  const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

std::string template_name() {
  static const Template once;
  return once.name();
}

}  // namespace

TestDatabase::TestDatabase(Schema schema) : name_(unique_name()) {
  // CREATE DATABASE fails while another session copies the same template.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string source = schema == Schema::migrated ? template_name() : "template0";
  run_sql(server_dsn("postgres", {}), fmt::format("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'", name_, source));
}

TestDatabase::~TestDatabase() { drop(name_); }

std::string TestDatabase::dsn(const std::string& user) const { return server_dsn(name_, user); }

std::string TestDatabase::sql(const std::string& text, const std::string& user) const {
  return run_sql(dsn(user), text);
}

Session::Session(const TestDatabase& database, const std::string& user) : connection_(connect(database.dsn(user))) {}
Session::~Session() { PQfinish(connection_); }

std::string Session::sql(const std::string& text) { return run_sql(connection_, text); }

}  // namespace zipmodule::test
