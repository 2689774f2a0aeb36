// A wrong configuration or database ends every verb with the right exit code and a message that helps.
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

bool mentions(const Result& result, const std::string& text) {
  return result.err.find(text) != std::string::npos || result.out.find(text) != std::string::npos;
}

void expect_config_error(const Site& site, const std::string& naming) {
  for (const auto* verb : {"run", "check-config"}) {
    const Result result = site.call({verb});
    INFO(verb);
    INFO(result.text());
    CHECK(result.exit_code == 78);
    CHECK(mentions(result, naming));
  }
}

TEST_CASE("a missing configuration file ends with 78 and names it") {
  const Site site(Site::Schema::none);
  fs::remove(site.config_file());
  expect_config_error(site, site.config_file().string());
}

TEST_CASE("broken YAML ends with 78 and the line") {
  const Site site(Site::Schema::none);
  site.write_config_text("database:\n  dsn: \"dbname=x\n");
  expect_config_error(site, site.config_file().string() + ":");
}

TEST_CASE("an unknown key ends with 78, its line and the nearest key") {
  Site site(Site::Schema::none);
  site.set("run.max_attemps", "3");
  expect_config_error(site, "max_attempts");
}

TEST_CASE("a bad unit ends with 78 and names the value") {
  Site site(Site::Schema::none);
  site.set("archives.min_free", "1 lightyear");
  expect_config_error(site, "lightyear");
}

TEST_CASE("all problems of a configuration are told at once") {
  Site site(Site::Schema::none);
  site.set("run.max_attemps", "3");
  site.set("archives.min_free", "1 lightyear");
  site.set("zip.level", "enormous");
  const Result result = site.call({"check-config"});
  INFO(result.text());
  CHECK(result.exit_code == 78);
  for (const auto* what : {"max_attemps", "lightyear", "enormous"}) CHECK(mentions(result, what));
}

TEST_CASE("a good configuration is said to be good") {
  const Site site(Site::Schema::none);
  CHECK(site.call({"check-config"}).exit_code == 0);
}

TEST_CASE("a wrong command line ends with 64") {
  const Site site(Site::Schema::none);
  CHECK(site.call({"no-such-verb"}).exit_code == 64);
  CHECK(site.call({"run", "--no-such-option"}).exit_code == 64);
  CHECK(site.call({"cancel", "only-one-name"}).exit_code == 64);
}

TEST_CASE("help and version need no configuration") {
  for (const auto* option : {"--help", "--version"}) {
    const Result result = run({build_path("zipmodule"), option});
    CHECK(result.exit_code == 0);
    CHECK_FALSE(result.out.empty());
    CHECK(result.err.empty());
  }
}

TEST_CASE("a database that is down ends with 69 and says where it was looked for") {
  Site site;
  site.set("database.dsn", "\"host=" + site.scratch("no-server").string() + " dbname=zipmodule\"");
  for (const auto* verb : {"run", "status", "migrate"}) {
    const Result result = site.call({verb});
    INFO(result.text());
    CHECK(result.exit_code == 69);
    CHECK(mentions(result, "no-server"));
  }
}

TEST_CASE("a wrong password is told without telling the password") {
  Site site;
  site.set("database.dsn", "\"host='" + site.database().server().host + "' user=zipmodule_password dbname=" +
                               site.database().name() + " password=open-sesame-77\"");
  for (const auto* verb : {"run", "status", "check"}) {
    const Result result = site.call({"-v", "-v", verb});
    INFO(verb);
    CHECK((result.exit_code == 69 || result.exit_code == 78 || std::string(verb) == "check"));
    CHECK(result.exit_code != 0);
    CHECK(mentions(result, "zipmodule_password"));
    CHECK_FALSE(mentions(result, "open-sesame-77"));
  }
}

TEST_CASE("a password in a URI is not told either") {
  Site site(Site::Schema::none);
  site.set("database.dsn", "\"postgresql://zipmodule_password:open-sesame-77@/nowhere?host=/no-server\"");
  const Result result = site.call({"-v", "-v", "run"});
  CHECK(result.exit_code != 0);
  CHECK_FALSE(mentions(result, "open-sesame-77"));
}

TEST_CASE("a database that does not exist ends with 78 and is named") {
  Site site(Site::Schema::none);
  site.set("database.dsn", "\"host='" + site.database().server().host + "' user=" + site.database().server().user +
                               " dbname=no_such_database\"");
  const Result result = site.run();
  INFO(result.text());
  CHECK((result.exit_code == 78 || result.exit_code == 69));
  CHECK(mentions(result, "no_such_database"));
}

TEST_CASE("a database without the schema ends with 78 and the command that installs it") {
  const Site site(Site::Schema::none);
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.exit_code == 78);
  CHECK(mentions(result, "zipmodule migrate"));
}

TEST_CASE("a schema of a newer binary ends with 78 and touches nothing") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  site.sql("INSERT INTO zipmodule.schema_migration (version, name) VALUES (9999, '9999_from_the_future')");
  for (const auto* verb : {"run", "migrate"}) {
    const Result result = site.call({verb});
    INFO(result.text());
    CHECK(result.exit_code == 78);
    CHECK(mentions(result, "9999"));
  }
  CHECK(site.state("series", "a") == "pending");
  CHECK(listing(site.store()).empty());
}

TEST_CASE("migrate may be repeated and run twice at once") {
  const Site site(Site::Schema::none);
  Process first = site.start({"migrate"});
  Process second = site.start({"migrate"});
  const Result one = first.wait();
  const Result two = second.wait();
  INFO(one.text());
  INFO(two.text());
  CHECK(one.exit_code == 0);
  CHECK(two.exit_code == 0);
  CHECK(site.call({"migrate"}).exit_code == 0);
  CHECK(site.call({"migrate", "--dry-run"}).exit_code == 0);
  CHECK(site.run().quiet());
}

TEST_CASE("a dry migration changes nothing") {
  const Site site(Site::Schema::none);
  const Result dry = site.call({"migrate", "--dry-run"});
  INFO(dry.text());
  CHECK(dry.exit_code == 0);
  CHECK_FALSE(dry.out.empty());
  CHECK(site.sql("SELECT to_regnamespace('zipmodule') IS NULL") == "t");
}

TEST_CASE("check probes a healthy installation and finds nothing") {
  const Site site;
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(site.unfinished().empty());
}

TEST_CASE("check names a content root that is not there") {
  Site site;
  site.set("content.roots",
           "{default: \"" + site.content().string() + "\", media: \"" + site.scratch("nowhere").string() + "\"}");
  const Result result = site.call({"check"});
  INFO(result.text());
  CHECK(result.exit_code != 0);
  CHECK(mentions(result, "media"));
}

}  // namespace
}  // namespace zipmodule::test
