// A whole installation for one test: a database of its own, content, an archive store, a configuration, and the real
// binary between them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace zipmodule::test {

using Json = nlohmann::json;

// How to reach the server: from ZIPMODULE_TEST_PG_HOST and ZIPMODULE_TEST_PG_USER, which the ctest fixture 'postgres'
// sets; throws with a hint where they are not.
struct Server {
  std::string host;  // directory of the socket
  std::string user;
};
Server test_server();

// A database; dropped by the destructor, whoever is connected.
class SiteDatabase {
 public:
  explicit SiteDatabase(Server server, const std::string& copied_from = "template1");
  ~SiteDatabase();
  SiteDatabase(const SiteDatabase&) = delete;
  SiteDatabase& operator=(const SiteDatabase&) = delete;

  // Runs statements by psql; returns the rows, columns divided by '|', without the last newline. Throws with psql's text.
  std::string sql(const std::string& statements) const;
  Result psql(const std::string& statements, const std::string& database) const;
  std::string dsn() const;
  const Server& server() const noexcept { return server_; }
  const std::string& name() const noexcept { return name_; }

 private:
  Server server_;
  std::string name_;
};

// Used from one thread. The store, content and lock are below one TempDir, which stays when the test fails.
class Site {
 public:
  enum class Schema { migrated, none };
  explicit Site(Schema schema = Schema::migrated);
  explicit Site(Server server);
  // A second host: the same database and content, another store, lock and run.host.
  Site(const Site& first, const std::string& host);

  // --- where things are
  std::filesystem::path content(const std::string& name = {}) const { return content_ / name; }
  std::filesystem::path store(const std::string& name = {}) const { return store_ / name; }
  std::filesystem::path config_file() const { return dir_ / "zipmodule.yaml"; }
  std::filesystem::path lock_file() const { return dir_ / "run.lock"; }
  std::filesystem::path scratch(const std::string& name) const { return dir_ / name; }
  std::filesystem::path link(const std::string& series, const std::string& archive) const;
  // Regular files in the store's tmp/ and builds/, by name.
  std::vector<std::string> unfinished() const;
  std::vector<std::string> builds() const;

  // --- the configuration: "run.lease" -> a YAML value; written out at once. An empty value removes the key.
  void set(const std::string& key, const std::string& yaml_value);
  void write_config_text(const std::string& text) const;

  // --- the binary
  Command command(std::vector<std::string> arguments) const;
  Result call(std::vector<std::string> arguments) const { return test::run(command(std::move(arguments))); }
  // Where root's rights would hide what is tested.
  Result call_without_root_rights(std::vector<std::string> arguments) const;
  Process start(std::vector<std::string> arguments) const { return Process(command(std::move(arguments))); }
  Result run() const { return call({"run"}); }
  // Starts a run and stops it (SIGSTOP) while it writes an archive. The content must take long enough: add_slow_content.
  Process run_until_building() const;
  // A file that takes the engine a second or so, at the configured level 'small' and with one thread.
  void add_slow_content(const std::string& name);

  // --- the queue
  // files: the JSON array of the contract, or one source's name. Returns the revision.
  std::int64_t publish(const std::string& series, const std::string& archive, const std::string& files,
                       const std::string& more_arguments = {}) const;
  std::string sql(const std::string& statements) const { return database_->sql(statements); }
  // The row of job_status; null when there is none.
  Json job(const std::string& series, const std::string& archive) const;
  std::string state(const std::string& series, const std::string& archive) const;
  // All telemetry of an archive, oldest first.
  std::vector<Json> telemetry(const std::string& series, const std::string& archive) const;
  // The probe of `check --json` that is called so; throws where there is none.
  Json probe(const std::string& name) const;
  // As after the pause that a failed attempt is given.
  void make_due() const;
  const SiteDatabase& database() const noexcept { return *database_; }

 private:
  explicit Site(std::shared_ptr<SiteDatabase> database);
  static const std::string& migrated_database();
  void migrate() const;
  void configure(const std::string& host);
  void write_config() const;

  TempDir dir_{"site"};
  std::shared_ptr<SiteDatabase> database_;
  std::filesystem::path content_;
  std::filesystem::path store_;
  std::map<std::string, std::map<std::string, std::string>> settings_;
};

// A text in SQL quotes.
std::string quoted(const std::string& text);

}  // namespace zipmodule::test
