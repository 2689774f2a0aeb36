#include "config/config.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"

using namespace zipmodule;
namespace fs = std::filesystem;

namespace {

fs::path file_with(const std::string& name, const std::string& yaml) {
  const fs::path folder = fs::path(zipmodule::test::build_path("tests/config_files"));
  fs::create_directories(folder);
  std::ofstream(folder / name, std::ios::trunc) << yaml;
  return folder / name;
}

const std::string k_minimal = "content: {roots: {default: /srv/content}}\narchives: {root: /srv/archives}\n";

// Sets $ZIPMODULE_DSN for one test.
class DsnInEnvironment {
 public:
  explicit DsnInEnvironment(const char* dsn) { ::setenv("ZIPMODULE_DSN", dsn, 1); }
  ~DsnInEnvironment() { ::unsetenv("ZIPMODULE_DSN"); }
  DsnInEnvironment(const DsnInEnvironment&) = delete;
  DsnInEnvironment& operator=(const DsnInEnvironment&) = delete;
};

}  // namespace

TEST_CASE("a file without problems loads with host, workers and threads resolved") {
  const auto config = config::load(file_with("minimal.yaml", k_minimal));
  CHECK(config.database.dsn.empty());
  CHECK_FALSE(config.run.host.empty());
  CHECK(config.run.workers >= 2);
  CHECK(config.run.threads >= 1);
}

TEST_CASE("load throws all problems of a file, one per line") {
  const auto path = file_with("bad.yaml", k_minimal + "run:\n  leese: 60s\n  memory: 1\n");
  try {
    config::load(path);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(std::string(error.what()) == path.string() + ":4: unknown key 'run.leese'; did you mean 'run.lease'?\n" +
                                           path.string() + ":5: run.memory: '1' is too small; at least 32MiB");
  }
  CHECK(config::check(path).size() == 2);
}

TEST_CASE("a file that can't be read is named with the ways to name another") {
  for (const fs::path path : {"/nonexistent/z.yaml", "/"}) {
    try {
      config::check(path);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      CHECK_THAT(error.what(), Catch::Matchers::Contains(path.string() + ": "));
      CHECK_THAT(error.hint(), Catch::Matchers::Contains("--config") && Catch::Matchers::Contains("$ZIPMODULE_CONFIG"));
    }
  }
}

TEST_CASE("$ZIPMODULE_DSN replaces the file's dsn, and an empty one does not") {
  const auto path = file_with("dsn.yaml", k_minimal + "database: {dsn: from-file}\n");
  CHECK(config::load(path).database.dsn == "from-file");
  {
    DsnInEnvironment set("from-environment");
    CHECK(config::load(path).database.dsn == "from-environment");
    CHECK(config::load_database(path).dsn == "from-environment");
    CHECK(config::load_database("/nonexistent").dsn == "from-environment");
  }
  DsnInEnvironment set("");
  CHECK(config::load(path).database.dsn == "from-file");
  CHECK(config::load_database(path).dsn == "from-file");
  CHECK_THROWS_AS(config::load_database("/nonexistent"), Error);
}

TEST_CASE("no problem ever quotes the dsn") {
  for (const std::string dsn : {"['password=secret']", "{password: secret}"}) {
    for (const auto& problem : config::check(file_with("secret.yaml", k_minimal + "database: {dsn: " + dsn + "}\n"))) {
      CHECK_THAT(problem.text, !Catch::Matchers::Contains("secret"));
    }
  }
}
