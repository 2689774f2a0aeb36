// config/zipmodule.yaml is the reference of all keys: it must name each, with the default the code has.
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "config/parse.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"

using namespace zipmodule::config;

namespace {

const std::string k_path = zipmodule::test::source_path("config/zipmodule.yaml");

std::string sample_text() {
  std::ostringstream text;
  text << std::ifstream(k_path).rdbuf();
  return text.str();
}

bool stands_in(const YAML::Node& document, const std::string& dotted) {
  const auto dot = dotted.find('.');
  const YAML::Node child = document[dotted.substr(0, dot)];
  if (dot == std::string::npos) return child.IsDefined();
  return child.IsMap() && stands_in(child, dotted.substr(dot + 1));
}

}  // namespace

TEST_CASE("the sample configuration has no problems") {
  for (const auto& problem : parse(sample_text(), k_path, {4, "h"}).problems) FAIL_CHECK(to_string(problem));
}

TEST_CASE("the sample configuration names every key there is") {
  const auto keys = parse(sample_text(), k_path, {4, "h"}).keys;
  const YAML::Node document = YAML::Load(sample_text());
  CHECK(keys.size() > 25);
  for (const auto& key : keys) {
    INFO(key);
    CHECK(stands_in(document, key));
  }
}

TEST_CASE("every value in the sample is the default, except for what each site must choose") {
  const auto sample = parse(sample_text(), k_path, {4, "h"}).config;
  auto defaults = parse("", "empty", {4, "h"}).config;
  defaults.database.dsn = sample.database.dsn;
  defaults.content.roots = sample.content.roots;
  defaults.archives.root = sample.archives.root;
  CHECK(sample == defaults);
}
