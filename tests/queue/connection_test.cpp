#include "base/error.hpp"
#include "queue/fixture.hpp"
#include "queue/migrations.hpp"
#include "queue/reader.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

// The Error that a first use of the dsn ends in.
Error trouble_with(const std::string& dsn) {
  try {
    require_current_schema({dsn, "zipmodule-test"});
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::internal, "no error"};
}

}  // namespace

TEST_CASE("a dsn is shown without its passwords, in either way of writing it") {
  CHECK(redacted("host=h dbname=d password=secret user=u").find("secret") == std::string::npos);
  CHECK(redacted("postgresql://u:secret@h/d").find("secret") == std::string::npos);
  CHECK(redacted("host=h dbname=d sslpassword=secret").find("secret") == std::string::npos);
  CHECK(redacted("password='sec ret' dbname=d") == "dbname=d");
  CHECK(redacted("").find("default") != std::string::npos);
}

TEST_CASE("a dsn that can't be parsed is a setup error that quotes nothing of it") {
  for (const std::string dsn : {"dbname=d password=sec secret", "password='secret", "postgresql://u:sec%secret@h/d"}) {
    const Error error = trouble_with(dsn);
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.full_text(), !Catch::Contains("secret"));
  }
}

TEST_CASE("an unreachable server is a database error, worth another try") {
  const Error error = trouble_with("host=/nonexistent dbname=d password=secret");
  CHECK(error.kind() == ErrorKind::database);
  CHECK(error.retryable());
  CHECK_THAT(error.full_text(), !Catch::Contains("secret"));
}

TEST_CASE("an unknown database or role is a setup error with a hint") {
  TestDatabase db;
  for (const auto& dsn : {db.dsn() + " dbname=zipmodule_nowhere", db.dsn("zipmodule_nobody")}) {
    const Error error = trouble_with(dsn);
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.what(), Catch::Contains("does not exist"));
    CHECK_FALSE(error.hint().empty());
  }
}

TEST_CASE("a login that is refused is a setup error without the password") {
  // The test server trusts its socket, so that the refusal is that of a role that may not log in; a wrong password takes
  // the same way through libpq, with another text.
  TestDatabase db;
  const Error error = trouble_with(db.dsn("zipmodule_worker") + " password=secret");
  CHECK(error.kind() == ErrorKind::database_setup);
  CHECK_THAT(error.full_text(), !Catch::Contains("secret"));
}

TEST_CASE("a missing table or function is a setup error that names migrate") {
  TestDatabase db(TestDatabase::Schema::none);
  try {
    Worker({db.options(), "h", "i"}).peek(1);
    FAIL("peeked into nothing");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.hint(), Catch::Contains("zipmodule migrate"));
  }
}

TEST_CASE("a lost connection is a database error, and the next call connects anew") {
  Bench bench;
  bench.publish("a");
  bench.db.sql("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
               "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  try {
    bench.worker.claim(bench.run, 1);
    FAIL("claimed over a dead connection");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database);
  }
  CHECK(bench.claim_one().attempt == 1);
}

TEST_CASE("sessions run in UTC and UTF-8, under their name, whatever the dsn's options say") {
  TestDatabase db;
  Reader reader({db.dsn() + " options='-c timezone=Asia/Tokyo -c work_mem=5MB'", "my-name"});
  reader.health();
  CHECK(db.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'my-name'") == "1");
}
