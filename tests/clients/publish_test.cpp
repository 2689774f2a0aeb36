// The example programs that the README shows, run as a CMS would run them.
#include <fmt/format.h>

#include "clients/login.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_examples = source_path("docs/examples/");

struct Client {
  std::string name;
  std::vector<std::string> program;  // the example, all but its arguments
  std::vector<std::string> probe;    // succeeds where the client can run at all
  std::string hint;
};

// Debian's python3 has the Debian packages; another in PATH has not.
const std::vector<Client> k_clients{
    {"psql", {"psql", "-X"}, {"psql", "--version"}, "psql is missing: scripts/setup --database"},
    {"php",
     {"php", k_examples + "publish.php"},
     {"php", "-r", "exit(in_array('pgsql', PDO::getAvailableDrivers()) ? 0 : 1);"},
     "php-cli and php-pgsql are missing: scripts/setup --tests"},
    {"python",
     {"/usr/bin/python3", k_examples + "publish.py"},
     {"/usr/bin/python3", "-c", "import psycopg2"},
     "python3-psycopg2 is missing: scripts/setup --tests"},
    {"node",
     {"node", k_examples + "publish.js"},
     {"node", "-e", "require('pg')"},
     "node or its module pg is missing: scripts/setup --tests"},
    {"orm",
     {"/usr/bin/python3", k_examples + "publish_orm.py"},
     {"/usr/bin/python3", "-c", "import psycopg2, sqlalchemy"},
     "python3-sqlalchemy or python3-psycopg2 is missing: scripts/setup --tests"},
};

Command with_modules(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  command.environment["NODE_PATH"] = source_path("build/npm/node_modules:/usr/share/nodejs");
  command.environment["PYTHONDONTWRITEBYTECODE"] = "1";
  return command;
}

void require_installed(const Client& client) {
  const Result probed = run(with_modules(client.probe));
  if (probed.exit_code != 0) FAIL(client.hint + "\n" + probed.text());
}

Result publish(const Login& login, const Client& client, const std::string& archive,
               const std::vector<std::string>& sources) {
  std::vector<std::string> argv = client.program;
  if (client.name == "psql") {
    Json files = Json::array();
    for (const auto& source : sources) files.push_back({{"source", source}});
    for (const auto& variable : {std::string("series=bach"), "archive=" + archive, "files=" + files.dump()}) {
      argv.insert(argv.end(), {"-v", variable});
    }
    argv.insert(argv.end(), {"-f", k_examples + "publish.sql"});
  } else {
    argv.insert(argv.end(), {"bach", archive});
    argv.insert(argv.end(), sources.begin(), sources.end());
  }
  return login.run(with_modules(argv));
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("every example publishes with the rights of a publisher alone, and the archive is built") {
  const Site site;
  const Login login(site, "zipmodule_publisher");
  write_file(site.content("Grüße/it's.txt"), "content");
  write_file(site.content("b.txt"), "more");
  for (const auto& client : k_clients) {
    DYNAMIC_SECTION(client.name) {
      require_installed(client);
      const Result first = publish(login, client, client.name, {"Grüße"});
      INFO(first.text());
      REQUIRE(first.exit_code == 0);
      CHECK(first.err.empty());
      const Result second = publish(login, client, client.name, {"Grüße/it's.txt", "b.txt"});
      INFO(second.text());
      REQUIRE(second.exit_code == 0);

      const Json job = site.job("bach", client.name);
      INFO(job.dump());
      CHECK(job["state"] == "pending");
      CHECK(job["wanted_revision"] == 2);
      CHECK(job["lane"] == "bach");
      CHECK(job["priority"] == 0);
      CHECK(job["metadata"] == Json::object());
      CHECK(Json::parse(site.sql("SELECT files FROM zipmodule.job")) ==
            Json::array({{{"source", "Grüße/it's.txt"}}, {{"source", "b.txt"}}}));
      if (client.name != "psql") {
        CHECK(second.out == fmt::format("published bach/{}: job {}, revision 2\n", client.name, job["job_id"].dump()));
      }

      const Result run = site.run();
      INFO(run.text());
      REQUIRE(run.exit_code == 0);
      CHECK(site.state("bach", client.name) == "done");
      CHECK(fs::exists(site.link("bach", client.name)));
    }
  }
}

TEST_CASE("every example tells a refused list from other errors by SQLSTATE 22023, and nothing is stored") {
  const Site site;
  const Login login(site, "zipmodule_publisher");
  for (const auto& client : k_clients) {
    DYNAMIC_SECTION(client.name) {
      require_installed(client);
      const Result refused = publish(login, client, client.name, {"a.txt", "../outside"});
      INFO(refused.text());
      CHECK(refused.exit_code != 0);
      CHECK(says(refused.err, "files[1].source: must not contain '..'"));
      // The programs say 'refused' for this SQLSTATE only; psql shows it.
      CHECK(says(refused.err, client.name == "psql" ? "22023" : "refused"));
      CHECK(site.state("bach", client.name) == "none");
    }
  }
}

TEST_CASE("no example takes another error for a refused list") {
  const Site site;
  const Login stranger(site, "");
  for (const auto& client : k_clients) {
    DYNAMIC_SECTION(client.name) {
      require_installed(client);
      const Result denied = publish(stranger, client, client.name, {"a.txt"});
      INFO(denied.text());
      CHECK(denied.exit_code != 0);
      CHECK(says(denied.err + denied.out, "permission denied"));
      CHECK_FALSE(says(denied.err, "refused"));
      CHECK_FALSE(says(denied.err, "22023"));
      CHECK(site.state("bach", client.name) == "none");
    }
  }
}

}  // namespace zipmodule::test
