#include "system/site.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_below(const fs::path& root) {
  std::vector<std::string> names;
  if (!fs::exists(root)) return names;
  for (const auto& name : listing(root)) {
    if (name.back() != '/') names.push_back(name);
  }
  return names;
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) {
    if (letter == '\'') result += '\'';
    result += letter;
  }
  return result + '\'';
}

Server test_server() {
  const char* host = std::getenv("ZIPMODULE_TEST_PG_HOST");
  const char* user = std::getenv("ZIPMODULE_TEST_PG_USER");
  if (host == nullptr || user == nullptr) {
    throw std::runtime_error(
        "ZIPMODULE_TEST_PG_HOST and ZIPMODULE_TEST_PG_USER are not set: run the test by scripts/test, or start a "
        "server "
        "with scripts/test-postgres (CONTRIBUTING.md)");
  }
  return {host, user};
}

SiteDatabase::SiteDatabase(Server server, const std::string& copied_from) : server_(std::move(server)) {
  static std::atomic<int> counter{0};
  name_ = fmt::format("zm_site_{}_{}", ::getpid(), ++counter);
  const Result created = psql(fmt::format("CREATE DATABASE {} TEMPLATE {}", name_, copied_from), "postgres");
  if (created.exit_code != 0) throw std::runtime_error("create a test database: " + created.text());
  // A copy has the identity of what it was copied from, as a restored dump has.
  if (copied_from != "template1")
    sql("UPDATE zipmodule.identity SET database_id = replace(gen_random_uuid()::text, '-', '')");
}

SiteDatabase::~SiteDatabase() {
  try {
    psql("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)", "postgres");
  } catch (const std::exception&) {
    // The server is thrown away as a whole anyway.
  }
}

Result SiteDatabase::psql(const std::string& statements, const std::string& database) const {
  Command command;
  command.argv = {"psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", server_.host, "-U", server_.user, "-d", database};
  command.input = "\\set VERBOSITY verbose\n" + statements + "\n";
  return test::run(command);
}

std::string SiteDatabase::sql(const std::string& statements) const {
  Result result = psql(statements, name_);
  if (result.exit_code != 0) throw std::runtime_error(result.err);
  while (!result.out.empty() && result.out.back() == '\n') result.out.pop_back();
  return std::move(result.out);
}

std::string SiteDatabase::dsn() const {
  return fmt::format("host='{}' user={} dbname={}", server_.host, server_.user, name_);
}

Site::Site(Schema schema)
    : Site(std::make_shared<SiteDatabase>(test_server(),
                                          schema == Schema::migrated ? migrated_database() : "template1")) {}

Site::Site(Server server) : Site(std::make_shared<SiteDatabase>(std::move(server))) { migrate(); }

Site::Site(std::shared_ptr<SiteDatabase> database)
    : database_(std::move(database)), content_(dir_ / "content"), store_(dir_ / "store") {
  configure("first.test");
}

// Migrated once per process, and copied for each test.
const std::string& Site::migrated_database() {
  static const auto once = [] {
    auto site = std::make_unique<Site>(Schema::none);
    site->migrate();
    return site;
  }();
  return once->database().name();
}

void Site::migrate() const {
  const Result migrated = call({"migrate"});
  if (migrated.exit_code != 0) throw std::runtime_error("migrate: " + migrated.text());
}

Site::Site(const Site& first, const std::string& host)
    : database_(first.database_), content_(first.content_), store_(dir_ / "store") {
  configure(host);
}

void Site::configure(const std::string& host) {
  fs::create_directories(content_);
  fs::create_directories(store_);
  settings_["database"]["dsn"] = fmt::format("\"{}\"", database_->dsn());
  settings_["content"]["roots"] = fmt::format("{{default: \"{}\"}}", content_.string());
  settings_["archives"]["root"] = fmt::format("\"{}\"", store_.string());
  settings_["archives"]["min_free"] = "1MiB";
  settings_["run"]["lock_file"] = fmt::format("\"{}\"", lock_file().string());
  settings_["run"]["host"] = host;
  write_config();
}

void Site::write_config() const {
  std::string text;
  for (const auto& [section, values] : settings_) {
    if (values.empty()) continue;
    text += section + ":\n";
    for (const auto& [key, value] : values) text += fmt::format("  {}: {}\n", key, value);
  }
  write_config_text(text);
}

void Site::write_config_text(const std::string& text) const { write_file(config_file(), text); }

void Site::set(const std::string& key, const std::string& yaml_value) {
  const auto dot = key.find('.');
  auto& section = settings_[key.substr(0, dot)];
  if (yaml_value.empty()) {
    section.erase(key.substr(dot + 1));
  } else {
    section[key.substr(dot + 1)] = yaml_value;
  }
  write_config();
}

fs::path Site::link(const std::string& series, const std::string& archive) const {
  return store_ / "public" / series / (archive + ".zip");
}

std::vector<std::string> Site::unfinished() const { return files_below(store_ / "tmp"); }
std::vector<std::string> Site::builds() const {
  auto files = files_below(store_ / "builds");
  const auto belongs_to_a_build = [&](const std::string& file) {
    const fs::path path = store_ / "builds" / file;
    return path.extension() == ".sources" && fs::exists(fs::path(path).replace_extension(".zip"));
  };
  files.erase(std::remove_if(files.begin(), files.end(), belongs_to_a_build), files.end());
  return files;
}

Command Site::command(std::vector<std::string> arguments) const {
  Command command;
  command.argv = {build_path("zipmodule"), "--config", config_file().string()};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  for (const auto* name : {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGPASSFILE", "PGSERVICE",
                           "ZIPMODULE_DSN", "ZIPMODULE_CONFIG"}) {
    command.environment[name] = std::nullopt;
  }
  return command;
}

Result Site::call_without_root_rights(std::vector<std::string> arguments) const {
  Command restricted = command(std::move(arguments));
  restricted.argv = without_root_rights(std::move(restricted.argv));
  return test::run(restricted);
}

Process Site::run_until_building() const {
  Process process = start({"run"});
  const bool begun = wait_until([&] { return !unfinished().empty() || !process.running(); });
  if (!begun || !process.running()) throw std::runtime_error("the run built nothing: " + process.err());
  process.send(SIGSTOP);
  if (unfinished().empty()) throw std::runtime_error("the build was over before it could be stopped");
  return process;
}

void Site::add_slow_content(const std::string& name) {
  set("run.threads", "1");
  set("zip.level", "small");
  write_file(content(name), wordy_text(std::size_t{16} << 20U));
}

std::int64_t Site::publish(const std::string& series, const std::string& archive, const std::string& files,
                           const std::string& more_arguments) const {
  const std::string list = files.starts_with('[') ? files : Json::array({{{"source", files}}}).dump();
  return std::stoll(
      sql(fmt::format("SELECT revision FROM zipmodule.publish({}, {}, {}{}{})", quoted(series), quoted(archive),
                      quoted(list), more_arguments.empty() ? "" : ", ", more_arguments)));
}

Json Site::job(const std::string& series, const std::string& archive) const {
  const std::string row =
      sql(fmt::format("SELECT to_json(s) FROM zipmodule.job_status s WHERE series = {} AND archive = {}",
                      quoted(series), quoted(archive)));
  return row.empty() ? Json() : Json::parse(row);
}

std::string Site::state(const std::string& series, const std::string& archive) const {
  const Json row = job(series, archive);
  return row.is_null() ? "none" : row.at("state").get<std::string>();
}

std::vector<Json> Site::telemetry(const std::string& series, const std::string& archive) const {
  const std::string rows =
      sql(fmt::format("SELECT coalesce(json_agg(t ORDER BY finished_at, claimed_at), '[]') FROM zipmodule.telemetry t "
                      "WHERE series = {} "
                      "AND archive = {}",
                      quoted(series), quoted(archive)));
  return Json::parse(rows).get<std::vector<Json>>();
}

Json Site::probe(const std::string& name) const {
  const Result result = call({"check", "--json"});
  for (const auto& probe : Json::parse(result.out)) {
    if (probe["name"] == name) return probe;
  }
  throw std::runtime_error("no probe named " + name + " in: " + result.text());
}

void Site::make_due() const { sql("UPDATE zipmodule.job SET due_at = statement_timestamp() WHERE pending"); }

}  // namespace zipmodule::test
