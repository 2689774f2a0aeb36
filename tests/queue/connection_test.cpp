#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "queue/fixture.hpp"
#include "queue/migrations.hpp"
#include "queue/reader.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

// Answers every connection on a unix socket of its own with a refusal, as PostgreSQL's protocol has it: 'E', length, then
// fields of a letter and a text each.
class RefusingServer {
 public:
  explicit RefusingServer(const std::string& message) {
    std::string name = (std::filesystem::temp_directory_path() / "zipmodule-pg-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/.s.PGSQL.5432";
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::copy(path.begin(), path.end(), address.sun_path);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listener_.get(), 4) == 0);
    thread_ = std::jthread([this, message] { serve(message); });
  }
  ~RefusingServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // ends accept
    thread_.join();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  RefusingServer(const RefusingServer&) = delete;
  RefusingServer& operator=(const RefusingServer&) = delete;
  const std::string& directory() const noexcept { return directory_; }

 private:
  void serve(const std::string& message) const {
    const std::string fields = std::string("SFATAL\0VFATAL\0C28P01\0M", 22) + message + std::string(2, '\0');
    const auto length = static_cast<char>(fields.size() + 4);  // short enough for one byte
    const std::string answer = std::string("E\0\0\0", 4) + length + fields;
    for (;;) {
      const Fd client(::accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      char startup[1000];
      if (::read(client.get(), startup, sizeof(startup)) <= 0) continue;
      if (::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) continue;
    }
  }

  std::string directory_;
  Fd listener_;
  std::jthread thread_;
};

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

TEST_CASE("a wrong password is a setup error that names the login and never the password") {
  const RefusingServer server("password authentication failed for user \"cms\"");
  const Error error = trouble_with("host=" + server.directory() + " dbname=d user=cms password=secret");
  CHECK(error.kind() == ErrorKind::database_setup);
  CHECK_THAT(error.what(),
             Catch::Contains("password authentication failed for user \"cms\"") && Catch::Contains("dbname=d"));
  CHECK_THAT(error.full_text(), !Catch::Contains("secret"));
  CHECK_FALSE(error.hint().empty());
}

TEST_CASE("a server that is just starting is a database error, worth another try") {
  const RefusingServer server("the database system is starting up");
  CHECK(trouble_with("host=" + server.directory() + " dbname=d").kind() == ErrorKind::database);
}

TEST_CASE("a role that may not log in is a setup error") {
  TestDatabase db;
  const Error error = trouble_with(db.dsn("zipmodule_worker") + " password=secret");
  CHECK(error.kind() == ErrorKind::database_setup);
  CHECK_THAT(error.full_text(), !Catch::Contains("secret"));
}

TEST_CASE("a missing table or function is a setup error that names migrate") {
  TestDatabase db(TestDatabase::Schema::none);
  try {
    WorkerOptions options;
    options.connection = db.options();
    Worker(options).peek(1);
    FAIL("peeked into nothing");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database_setup);
    CHECK_THAT(error.hint(), Catch::Contains("zipmodule migrate"));
  }
}

namespace {

// Ends all other sessions of the database, and waits for their ends.
const char* const k_cut =
    "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()";

}  // namespace

TEST_CASE("a session that was cut while nobody used it is replaced without a word") {
  Bench bench;
  bench.publish("a");
  bench.db.sql(k_cut);
  CHECK(bench.claim_one().attempt == 1);
}

TEST_CASE("a session that is cut in the middle of a statement is a database error, and the next call connects anew") {
  Bench bench;
  bench.publish("a");
  // Whoever claims the row ends its own session.
  bench.db.sql(
      "CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NEW; END $$");
  bench.db.sql("CREATE TRIGGER die BEFORE UPDATE ON zipmodule.job FOR EACH ROW EXECUTE FUNCTION public.die()");
  try {
    bench.worker.claim(bench.run, 1);
    FAIL("claimed over a dead connection");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database);
  }
  bench.db.sql("DROP TRIGGER die ON zipmodule.job");
  CHECK(bench.claim_one().attempt == 1);
}

TEST_CASE("sessions run in UTC and UTF-8, under their name, whatever the dsn's options say") {
  TestDatabase db;
  Reader reader({db.dsn() + " options='-c timezone=Asia/Tokyo -c work_mem=5MB'", "my-name"});
  reader.health();
  CHECK(db.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'my-name'") == "1");
}

namespace {

// From here on every new row of zipmodule.run notes the settings of the session that wrote it, and takes `seconds`.
void watch_sessions(const TestDatabase& db, const std::string& seconds = "0") {
  db.sql("CREATE TABLE public.seen (settings text)");
  db.sql(
      "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "INSERT INTO public.seen VALUES (concat_ws(' ', current_setting('statement_timeout'), "
      "current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'))); "
      "PERFORM pg_sleep(" +
      seconds + "); RETURN NEW; END $$");
  db.sql("CREATE TRIGGER note AFTER INSERT ON zipmodule.run FOR EACH ROW EXECUTE FUNCTION public.note()");
}

Worker worker_with(const std::string& dsn, const SessionLimits& limits) {
  WorkerOptions options;
  options.connection = {dsn, "zipmodule-test", limits};
  options.host = "host-a";
  options.instance = "host-a:/srv/archives";
  return Worker(options);
}

constexpr SessionLimits k_limits{std::chrono::seconds(31), std::chrono::seconds(11), std::chrono::seconds(32)};

}  // namespace

TEST_CASE("a session has the limits it was given, and what the dsn's options say of one wins") {
  TestDatabase db;
  watch_sessions(db);
  worker_with(db.dsn(), k_limits).begin_run(1, "test", token_of(1));
  CHECK(db.sql("SELECT settings FROM public.seen") == "31s 11s 32s");
  db.sql("TRUNCATE public.seen");
  worker_with(db.dsn() + " options='-c lock_timeout=7s'", k_limits).begin_run(1, "test", token_of(1));
  CHECK(db.sql("SELECT settings FROM public.seen") == "31s 7s 32s");
  db.sql("TRUNCATE public.seen");
  worker_with(db.dsn(), {}).begin_run(1, "test", token_of(1));
  CHECK(db.sql("SELECT settings FROM public.seen") == "0 0 0");
}

TEST_CASE("a statement that hangs is ended by its limit, as a database error worth another try") {
  TestDatabase db;
  watch_sessions(db, "600");
  try {
    worker_with(db.dsn(), {std::chrono::milliseconds(100), {}, {}}).begin_run(1, "test", token_of(1));
    FAIL("waited for it");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database);
    CHECK(error.retryable());
    CHECK_THAT(error.what(), Catch::Contains("statement timeout"));
  }
}

TEST_CASE("a lock that nobody gives back is waited for no longer than its limit") {
  TestDatabase db;
  Session other(db);
  other.sql("BEGIN");
  other.sql("LOCK TABLE zipmodule.run");
  try {
    worker_with(db.dsn(), {{}, std::chrono::milliseconds(100), {}}).begin_run(1, "test", token_of(1));
    FAIL("waited for it");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::database);
    CHECK_THAT(error.what(), Catch::Contains("lock timeout"));
  }
}

TEST_CASE("of several hosts the one that takes writes is found, whichever is first") {
  TestDatabase db;
  const auto at = db.dsn().find("host='") + 6;
  const std::string host = db.dsn().substr(at, db.dsn().find('\'', at) - at);
  for (const auto& hosts : {"/nonexistent," + host, host + ",/nonexistent"}) {
    Worker worker = worker_with(db.dsn() + " host='" + hosts + "' port=5432 target_session_attrs=read-write", k_limits);
    CHECK(worker.begin_run(1, "test", token_of(1)).run_id > 0);
  }
}
