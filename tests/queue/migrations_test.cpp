#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "queue/fixture.hpp"
#include "queue/migrations.hpp"
#include "support/paths.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

ErrorKind kind_of_require(const TestDatabase& db) {
  try {
    require_current_schema(db.options());
  } catch (const Error& error) {
    CHECK_FALSE(error.hint().empty());
    return error.kind();
  }
  return ErrorKind::internal;
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("migrate installs everything once and then has nothing to do") {
  TestDatabase db(TestDatabase::Schema::none);
  const auto planned = migrate(db.options(), true);
  CHECK(static_cast<int>(planned.size()) == known_schema_version());
  CHECK(db.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'zipmodule'") == "0");
  const auto applied = migrate(db.options(), false);
  REQUIRE(static_cast<int>(applied.size()) == known_schema_version());
  CHECK(applied[0].version == 1);
  CHECK(applied[0].name == "0001_tables");
  CHECK(migrate(db.options(), false).empty());
  CHECK(migrate(db.options(), true).empty());
  CHECK_NOTHROW(require_current_schema(db.options()));
}

// Collations change with the system's libraries, and an index in a changed one is in the wrong order.
TEST_CASE("no index depends on the database's collation") {
  TestDatabase db;
  CHECK(db.sql("SELECT string_agg(indexrelid::regclass::text, ', ') "
               "FROM pg_index CROSS JOIN unnest(indcollation) AS used(ordering) "
               "JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = 'zipmodule'::regnamespace "
               "WHERE used.ordering NOT IN (0, 'pg_catalog.\"C\"'::regcollation)") == "");
  CHECK(db.sql("SELECT count(*) > 5 FROM pg_index CROSS JOIN unnest(indcollation) AS used(ordering) "
               "JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = 'zipmodule'::regnamespace "
               "WHERE used.ordering <> 0") == "t");
}

TEST_CASE("two migrations at once install everything exactly once") {
  TestDatabase db(TestDatabase::Schema::none);
  std::size_t applied[2] = {0, 0};
  std::string trouble[2];
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        try {
          applied[i] = migrate(db.options(), false).size();
        } catch (const std::exception& error) {
          trouble[i] = error.what();
        }
      });
    }
  }
  CHECK(trouble[0] + trouble[1] == "");
  CHECK(static_cast<int>(applied[0] + applied[1]) == known_schema_version());
  CHECK(db.sql("SELECT count(*) FROM zipmodule.schema_migration") == std::to_string(known_schema_version()));
}

TEST_CASE("two databases of one cluster may be migrated at once, though they share the roles") {
  TestDatabase dbs[2]{TestDatabase(TestDatabase::Schema::none), TestDatabase(TestDatabase::Schema::none)};
  std::string trouble[2];
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        try {
          migrate(dbs[i].options(), false);
        } catch (const std::exception& error) {
          trouble[i] = error.what();
        }
      });
    }
  }
  CHECK(trouble[0] + trouble[1] == "");
}

TEST_CASE("a schema that is newer, older or absent is refused with what to do") {
  TestDatabase none(TestDatabase::Schema::none);
  CHECK(kind_of_require(none) == ErrorKind::database_setup);
  TestDatabase db;
  db.sql("DELETE FROM zipmodule.schema_migration WHERE version > 1");
  CHECK(kind_of_require(db) == ErrorKind::schema_version);
  db.sql("INSERT INTO zipmodule.schema_migration (version, name) VALUES (1000, 'of the future')");
  CHECK(kind_of_require(db) == ErrorKind::schema_version);
  CHECK_THROWS_AS(migrate(db.options(), false), Error);
  CHECK_THROWS_AS(migrate(db.options(), true), Error);
}

TEST_CASE("a migration that fails leaves nothing of itself") {
  TestDatabase db(TestDatabase::Schema::none);
  // In the way of the first migration, after it has made other things.
  db.sql("CREATE SCHEMA zipmodule; CREATE TABLE zipmodule.build ()");
  CHECK_THROWS_AS(migrate(db.options(), false), Error);
  CHECK(db.sql("SELECT to_regclass('zipmodule.job') IS NULL") == "t");
  db.sql("DROP TABLE zipmodule.build");
  CHECK(static_cast<int>(migrate(db.options(), false).size()) == known_schema_version());
}

TEST_CASE("every embedded statement prepares against the schema") {
  TestDatabase db;
  int statements = 0;
  for (const auto& file : std::filesystem::directory_iterator(zipmodule::test::source_path("sql/queries"))) {
    INFO(file.path());
    const std::string text = text_of(file.path());
    CHECK(text.substr(0, 3) == "-- ");
    CHECK_NOTHROW(db.sql("PREPARE statement AS " + text));
    ++statements;
  }
  CHECK(statements > 30);
}

TEST_CASE("every way to end attempts prepares against the schema") {
  TestDatabase db;
  const std::filesystem::path folder = zipmodule::test::source_path("sql/endings");
  const std::string begin = text_of(folder / "attempts.sql");
  int statements = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().stem();
    if (name == "attempts" || name == "told" || name == "answered") continue;
    for (const std::string& told : {std::string(), text_of(folder / "told.sql")}) {
      INFO(file.path() << (told.empty() ? "" : " and telemetry"));
      CHECK_NOTHROW(
          db.sql("PREPARE statement AS " + begin + text_of(file.path()) + told + text_of(folder / "answered.sql")));
      ++statements;
    }
  }
  CHECK(statements == 8);
}

TEST_CASE("every way to pick jobs prepares against the schema") {
  TestDatabase db;
  const std::filesystem::path folder = zipmodule::test::source_path("sql/picks");
  int statements = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().stem();
    if (name == "due" || name == "locked") continue;
    INFO(file.path());
    CHECK_NOTHROW(db.sql("PREPARE statement AS " + text_of(folder / "due.sql") + text_of(file.path()) +
                         text_of(folder / "locked.sql")));
    ++statements;
  }
  CHECK(statements == 4);
}

TEST_CASE("no function can be run by everybody and every definer's search_path is pinned") {
  TestDatabase db;
  CHECK(db.sql("SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'zipmodule'::regnamespace "
               "AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))") == "");
  CHECK(db.sql("SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'zipmodule'::regnamespace "
               "AND prosecdef AND NOT coalesce(proconfig::text LIKE '%search_path%', false)") == "");
}
