// The SQL that README gives to operators and publishers runs with their rights, and finds what it is meant to find.
#include "clients/document.hpp"
#include "clients/login.hpp"
#include "support/catch.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

// One archive of each kind that a query asks for.
void make_history(Site& site) {
  site.set("run.max_attempts", "1");
  std::filesystem::create_directory(site.scratch("mirror"));
  site.set("archives.deliver", "{mirror: " + site.scratch("mirror").string() + "}");
  write_file(site.content("a.txt"), "a");
  site.publish("bach", "album", "a.txt");
  site.publish("bach", "gone", "no-such-file.txt");
  site.publish("bach", "partly", R"([{"source": "a.txt"}, {"source": "no-such-file.txt"}])", "on_missing => 'skip'");
  REQUIRE(site.run().exit_code == 1);
  REQUIRE(site.state("bach", "gone") == "failed");
  REQUIRE(site.state("bach", "partly") == "done");
  site.publish("bach", "album", "a.txt");
  site.publish("bach", "later", "a.txt", "quiet => '1 hour'");
}

void expect_rows(const std::vector<Block>& blocks, const std::string& reader, const Login& login) {
  std::size_t run = 0;
  for (const auto& block : blocks) {
    if (block.argument != reader) continue;
    ++run;
    const Result result = login.psql(block.text);
    INFO(block.text);
    INFO(result.text());
    CHECK(result.exit_code == 0);
    CHECK_FALSE(result.out.empty());
  }
  CHECK(run > 0);
}

}  // namespace

TEST_CASE("README's queries for operators run with an operator's rights and find something") {
  Site site;
  make_history(site);
  const Login login(site, "zipmodule_operator");
  expect_rows(Document("README.md").blocks("run"), "operator", login);
  // The last of them retries what a file was missing for.
  CHECK(site.state("bach", "gone") == "pending");
}

TEST_CASE("README's queries for publishers run with a publisher's rights and find something") {
  Site site;
  make_history(site);
  const Login login(site, "zipmodule_publisher");
  expect_rows(Document("README.md").blocks("run"), "publisher", login);
}

TEST_CASE("README's table of the view hosts names its columns, in their order") {
  const Site site;
  std::string documented;
  for (const auto& row : Document("README.md").table("column")) {
    for (const auto& name : code_words(row.at(0))) documented += (documented.empty() ? "" : ",") + name;
  }
  CHECK(documented == site.sql("SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM "
                               "information_schema.columns WHERE table_schema = 'zipmodule' AND table_name = 'hosts'"));
}

}  // namespace zipmodule::test
