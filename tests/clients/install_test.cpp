// The installation that README describes, on a server of its own: roles belong to the whole cluster.
#include <fmt/format.h>

#include "clients/document.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_source = source_path("");
const std::string k_owner_dsn = "dbname=zipmodule options='-c role=zipmodule_owner'";

class FreshServer {
 public:
  FreshServer() {
    const Result started = control("start");
    if (started.exit_code != 0) throw std::runtime_error("start a server: " + started.text());
    host_ = started.out.substr(0, started.out.find('\n'));
  }
  ~FreshServer() { control("stop"); }
  FreshServer(const FreshServer&) = delete;
  FreshServer& operator=(const FreshServer&) = delete;

  Result psql(const std::string& user, const std::string& database, const std::string& statements) const {
    Command command;
    command.argv = {"psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", host_, "-U", user, "-d", database};
    command.input = statements + "\n";
    return run(command);
  }
  // The binary, with only ZIPMODULE_DSN to go by, or with a configuration.
  Result zipmodule(std::vector<std::string> arguments, const std::string& user, const std::string& dsn = {}) const {
    Command command;
    command.argv = {build_path("zipmodule"), "--config", config_file().string()};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.environment = {{"PGHOST", host_}, {"PGUSER", user}, {"ZIPMODULE_DSN", std::nullopt}};
    if (!dsn.empty()) command.environment["ZIPMODULE_DSN"] = dsn;
    return run(command);
  }
  fs::path config_file() const { return dir_ / "zipmodule.yaml"; }
  fs::path place(const std::string& name) const { return dir_ / name; }

 private:
  Result control(const std::string& verb) const {
    return run({k_source + "scripts/test-postgres", verb, (dir_ / "pg").string()});
  }

  TempDir dir_{"install"};
  std::string host_;
};

void expect_success(const Result& result) {
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
}

}  // namespace

TEST_CASE("README's installation ends with logins that can do their work and no more") {
  REQUIRE(Document("README.md").has(fmt::format("ZIPMODULE_DSN=\"{}\" zipmodule migrate", k_owner_dsn)));
  const FreshServer server;
  expect_success(server.psql("postgres", "postgres", read_file(k_source + "docs/examples/install.sql")));
  expect_success(server.zipmodule({"migrate"}, "postgres", k_owner_dsn));
  // What is installed belongs to the owner, not to the superuser who installed it.
  CHECK(server
            .psql("postgres", "zipmodule",
                  "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc "
                  "WHERE pronamespace = 'zipmodule'::regnamespace")
            .out == "zipmodule_owner\n");
  expect_success(server.zipmodule({"migrate"}, "postgres", k_owner_dsn));

  fs::create_directories(server.place("archives"));
  write_file(server.place("content/album/a.txt"), "a");
  write_file(server.config_file(),
             fmt::format("database: {{dsn: \"dbname=zipmodule\"}}\ncontent: {{roots: {{default: \"{}\"}}}}\n"
                         "archives: {{root: \"{}\", min_free: 1MiB}}\nrun: {{lock_file: \"{}\"}}\n",
                         server.place("content").string(), server.place("archives").string(),
                         server.place("run.lock").string()));
  expect_success(
      server.psql("cms", "zipmodule", R"(SELECT zipmodule.publish('bach', 'album', '[{"source": "album"}]');)"));
  CHECK(server.psql("cms", "zipmodule", "TABLE zipmodule.telemetry").exit_code != 0);
  expect_success(server.zipmodule({"check-config"}, "zipmodule"));
  const Result checked = server.zipmodule({"check"}, "zipmodule");
  expect_success(checked);
  // Of all sessions: the owner was granted the right to.
  CHECK(checked.out.find("nothing has held vacuum back for 3600 s\n") != std::string::npos);
  expect_success(server.zipmodule({"run"}, "zipmodule"));
  CHECK(fs::exists(server.place("archives/public/bach/album.zip")));

  for (const auto* verb : {"status", "explain"}) expect_success(server.zipmodule({verb, "bach", "album"}, "ops"));
  write_file(server.place("list.json"), R"([{"source": "album/"}])");
  expect_success(server.zipmodule({"publish", "bach", "album", server.place("list.json").string()}, "ops"));
  expect_success(server.zipmodule({"cancel", "bach", "album"}, "ops"));
  expect_success(server.zipmodule({"retry", "bach", "album"}, "ops"));
}

TEST_CASE("PostgreSQL understands README's lines for pg_hba.conf") {
  const FreshServer server;
  const std::string file = server.psql("postgres", "postgres", "SHOW hba_file").out;
  const fs::path hba = file.substr(0, file.find('\n'));
  write_file(hba, read_file(k_source + "docs/examples/pg_hba.conf") + read_file(hba));
  // The view reads the file as it is now, without putting it in force. This server has no certificate, Debian's has.
  const std::string lines =
      server
          .psql("postgres", "postgres",
                "SELECT count(*), count(*) FILTER (WHERE 'zipmodule' = ANY (database)), "
                "count(*) FILTER (WHERE error NOT LIKE '%SSL is disabled%') FROM pg_hba_file_rules")
          .out;
  CHECK(lines == "5|3|0\n");
}

}  // namespace zipmodule::test
