#include "cli/config_json.hpp"

#include <string>

#include "config/parse.hpp"
#include "support/catch.hpp"

using namespace zipmodule;

TEST_CASE("the resolved configuration can be loaded again and means the same") {
  const std::string yaml =
      "content: {roots: {default: /srv/content, media: /srv/media}}\n"
      "archives: {root: /srv/archives, grace: 90m, min_free: 0}\n"
      "run: {lease: 75s, memory: 100MB, metrics_file: /var/lib/z.prom}\n"
      "keep: {telemetry: 30d, runs: 36h}\n"
      "check: {late: 3m, transaction: 90s}\n"
      "zip: {exclude: ['*.tmp', \"@eaDir\"]}\n"
      "log: {file: /var/log/z.log}\n";
  const auto given = config::parse(yaml, "given", {4, "web1"});
  REQUIRE(given.problems.empty());
  const auto again = config::parse(cli::to_json(given.config).dump(), "again", {64, "other"});
  for (const auto& problem : again.problems) FAIL_CHECK(config::to_string(problem));
  CHECK(again.config == given.config);
}

TEST_CASE("the password of the dsn is left out of the resolved configuration") {
  config::Config config;
  config.database.dsn = "host=db user=z password=secret dbname=z";
  CHECK_THAT(cli::to_json(config).dump(), !Catch::Matchers::Contains("secret"));
}
