#include "queue/migrations.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "queue/connection_impl.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

constexpr const char* k_migrate = "run: zipmodule migrate";

// 0 where nothing is installed.
int installed_version(pqxx::work& transaction) {
  if (!query(transaction, sql::schema_installed)[0][0].as<bool>()) return 0;
  return query(transaction, sql::schema_version)[0][0].as<int>();
}

void refuse_newer(int version) {
  if (version <= known_schema_version()) return;
  throw Error(
      ErrorKind::schema_version,
      fmt::format("the database has schema version {}, this zipmodule knows {}", version, known_schema_version()),
      "install the zipmodule that belongs to the database on this host as well");
}

const sql::Migration& migration(int version) { return sql::k_migrations[static_cast<std::size_t>(version - 1)]; }

// Applies the next missing migration and returns its version, or 0 if there is none. The version is read again under the
// lock: another migrate may have been here first.
int apply_next(Connection& connection) {
  return connection.transact([](pqxx::work& transaction) {
    query(transaction, sql::lock_migrations);
    const int version = installed_version(transaction);
    refuse_newer(version);
    if (version == known_schema_version()) return 0;
    const int next = version + 1;
    transaction.exec(migration(next).text);
    query(transaction, sql::note_migration, next, migration(next).name);
    return next;
  });
}

}  // namespace

int known_schema_version() noexcept { return static_cast<int>(sql::k_migrations.size()); }

std::vector<AppliedMigration> migrate(const ConnectionOptions& options, bool dry_run) {
  Connection connection(options);
  std::vector<AppliedMigration> applied;
  if (dry_run) {
    int version = connection.transact(installed_version);
    refuse_newer(version);
    while (++version <= known_schema_version()) applied.push_back({version, migration(version).name});
    return applied;
  }
  while (const int version = apply_next(connection)) applied.push_back({version, migration(version).name});
  return applied;
}

void require_current_schema(const ConnectionOptions& options) {
  Connection connection(options);
  const int version = connection.transact(installed_version);
  refuse_newer(version);
  if (version == 0) {
    throw Error(ErrorKind::database_setup,
                fmt::format("schema zipmodule is not installed in {}", redacted(options.dsn)), k_migrate);
  }
  if (version < known_schema_version()) {
    throw Error(
        ErrorKind::schema_version,
        fmt::format("the database has schema version {}, this zipmodule needs {}", version, known_schema_version()),
        k_migrate);
  }
}

}  // namespace zipmodule::queue
