// What README.md says about files, keys, verbs and codes is so.
#include <fmt/format.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <regex>
#include <set>

#include "base/error.hpp"
#include "clients/document.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_source = source_path("");

// "run.lease" -> "60s"; a value that each site chooses -> "".
std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::map<std::string, std::string> sample_defaults() {
  const std::set<std::string> k_chosen{"database.dsn", "content.roots", "archives.root"};
  std::map<std::string, std::string> defaults;
  for (const auto& section : YAML::LoadFile(k_source + "config/zipmodule.yaml")) {
    for (const auto& key : section.second) {
      const auto name = section.first.as<std::string>() + "." + key.first.as<std::string>();
      const bool empty = key.second.IsNull() || (key.second.IsMap() && key.second.size() == 0);
      if (k_chosen.contains(name) || empty) {
        defaults[name] = "";
      } else if (key.second.IsSequence()) {
        defaults[name] = joined(key.second.as<std::vector<std::string>>());
      } else {
        defaults[name] = key.second.as<std::string>();
      }
    }
  }
  return defaults;
}

std::set<std::string> verbs_of_help() {
  const std::string help = run({build_path("zipmodule"), "--help"}).out;
  static const std::regex k_verb("\n  ([a-z-]+) +[A-Z]");
  const std::string listed = help.substr(help.find("Subcommands:"));
  std::set<std::string> verbs;
  for (std::sregex_iterator match(listed.begin(), listed.end(), k_verb), end; match != end; ++match) {
    verbs.insert((*match)[1]);
  }
  return verbs;
}

std::vector<ErrorTraits> all_kinds() {
  std::vector<ErrorTraits> kinds;
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i)
    kinds.push_back(traits_of(static_cast<ErrorKind>(i)));
  return kinds;
}

}  // namespace

TEST_CASE("the code in README is the code of the examples") {
  const Document readme("README.md");
  std::set<std::string> shown;
  for (const auto& block : readme.blocks("file")) {
    INFO(block.argument);
    CHECK(block.text == read_file(k_source + block.argument));
    shown.insert(block.argument);
  }
  for (const auto& name : listing(k_source + "docs/examples")) {
    INFO(name << " is shown nowhere");
    CHECK(shown.contains("docs/examples/" + name));
  }
}

TEST_CASE("the list of files in README brings the entries that README says") {
  const auto blocks = Document("README.md").blocks("archive");
  REQUIRE(blocks.size() == 1);
  Site site;
  site.set("content.roots", fmt::format("{{default: \"{}\", media: \"{}\"}}", site.content("default").string(),
                                        site.content("media").string()));
  write_file(site.content("default/series/42/cover.jpg"), "cover");
  write_file(site.content("default/texts/license-2.txt"), "license");
  write_file(site.content("media/series/42/01.flac"), "music");
  write_file(site.content("media/series/42/extras/booklet.pdf"), "booklet");
  site.publish("series", "a", read_file(k_source + blocks[0].argument));
  const Result run = site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  const Json inspected = Json::parse(site.call({"inspect", "--json", site.link("series", "a").string()}).out);
  std::string names;
  for (const auto& entry : inspected["entries"]) names += entry["name"].get<std::string>() + "\n";
  CHECK(names == blocks[0].text);
}

TEST_CASE("README's table of keys is that of the sample configuration, with the defaults") {
  std::map<std::string, std::string> documented;
  for (const auto& row : Document("README.md").table("key")) {
    INFO(row.at(0));
    const auto key = code_words(row.at(0));
    REQUIRE(key.size() == 1);
    const auto value = code_words(row.at(1));
    const bool named = value.empty() && (row.at(1) == "required" || row.at(1) == "empty");
    CHECK((!value.empty() || named));
    CHECK_FALSE(row.at(2).empty());
    documented[key[0]] = joined(value);
  }
  CHECK(documented == sample_defaults());
}

TEST_CASE("README's table of verbs is that of --help") {
  std::set<std::string> documented;
  for (const auto& row : Document("README.md").table("verb")) {
    const std::string synopsis = code_words(row.at(0)).at(0);
    const std::string verb = synopsis.substr(0, synopsis.find(' '));
    documented.insert(verb);
    const std::string help = run({build_path("zipmodule"), verb, "--help"}).out;
    static const std::regex k_option("--[a-z-]+");
    for (std::sregex_iterator match(synopsis.begin(), synopsis.end(), k_option), end; match != end; ++match) {
      INFO(verb << " " << match->str());
      CHECK(help.find(match->str()) != std::string::npos);
    }
  }
  CHECK(documented == verbs_of_help());
}

TEST_CASE("README explains every kind of error and every exit code") {
  const Document readme("README.md");
  std::set<std::string> codes;
  for (const auto& row : readme.table("exit code")) codes.insert(row.at(0));
  CHECK(codes.contains("0"));
  for (const auto& traits : all_kinds()) {
    INFO(traits.code);
    CHECK(readme.has(fmt::format("`{}`", traits.code)));
    CHECK(codes.contains(std::to_string(traits.exit_code)));
  }
}

TEST_CASE("--help names every exit code") {
  const std::string help = run({build_path("zipmodule"), "--help"}).out;
  const std::string codes = help.substr(help.find("Exit codes:"));
  for (const auto& traits : all_kinds()) {
    INFO(traits.exit_code);
    CHECK(std::regex_search(codes, std::regex(fmt::format("[ \n]{} ", traits.exit_code))));
  }
}

TEST_CASE("README says of every kind of error whether it is tried again") {
  std::map<std::string, std::string> again;
  for (const auto& row : Document("README.md").table("kind")) {
    for (const auto& kind : code_words(row.at(0))) again[kind] = row.at(1);
  }
  for (const auto& traits : all_kinds()) {
    const auto row = again.find(std::string(traits.code));
    if (row == again.end() || traits.kind == ErrorKind::corrupt) continue;  // corrupt: by the audit, not by an attempt
    INFO(traits.code);
    CHECK((row->second != "no") == traits.retryable);
    if (traits.kind == ErrorKind::lease_lost || !traits.retryable) continue;  // losses have a limit of their own
    CHECK((row->second.find("not counted") != std::string::npos) == !traits.counts_attempt);
  }
  CHECK(again.size() > 20);
}

TEST_CASE("the table of errors in ARCHITECTURE is that of the code") {
  std::map<std::string, std::vector<std::string>> documented;
  for (const auto& row : Document("ARCHITECTURE.md").table("kind")) {
    for (const auto& kind : code_words(row.at(0))) documented[kind] = row;
  }
  for (const auto& traits : all_kinds()) {
    INFO(traits.code);
    REQUIRE(documented.contains(std::string(traits.code)));
    const auto& row = documented[std::string(traits.code)];
    CHECK(row.at(1) == std::to_string(traits.exit_code));
    CHECK(row.at(2).starts_with(traits.retryable ? "yes" : "no"));
    CHECK((row.at(3) == "yes") == traits.counts_attempt);
  }
}

TEST_CASE("the systemd unit lets a run write the metrics file that README names") {
  const Document readme("README.md");
  std::smatch named;
  REQUIRE(std::regex_search(readme.text(), named, std::regex("`run\\.metrics_file: ([^`]+)`")));
  const std::string unit = read_file(k_source + "cron/zipmodule.service");
  std::smatch writable;
  REQUIRE(std::regex_search(unit, writable, std::regex("ReadWritePaths=(.*)")));
  CHECK_THAT(writable[1].str() + " ", Catch::Contains("-" + fs::path(named[1].str()).parent_path().string() + " "));
}

TEST_CASE("links and scripts that the documents name are there") {
  static const std::regex k_script("(scripts/[a-z-]+|\\.ci/run)");
  for (const auto* name : {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "sql/README.md"}) {
    const Document document(name);
    for (const auto& link : document.links()) {
      INFO(name << " -> " << link);
      CHECK(fs::exists((fs::path(k_source) / name).parent_path() / link));
    }
    const std::string& text = document.text();
    for (std::sregex_iterator match(text.begin(), text.end(), k_script), end; match != end; ++match) {
      INFO(name << " -> " << match->str());
      CHECK(::access((k_source + match->str()).c_str(), X_OK) == 0);
    }
  }
}

}  // namespace zipmodule::test
