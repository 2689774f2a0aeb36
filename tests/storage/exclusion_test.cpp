#include "storage/exclusion.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

namespace zipmodule::storage {
namespace {

TEST_CASE("a pattern is compared with a name, or with the path where it has a '/'") {
  struct Row {
    std::string pattern;
    std::string folder;
    std::string name;
    bool excluded;
  };
  const auto row = GENERATE(values<Row>({
      {".DS_Store", "", ".DS_Store", true},
      {".DS_Store", "a/b", ".DS_Store", true},
      {".DS_Store", "", ".DS_Store2", false},
      {".DS_Store", "", ".ds_store", false},
      {"._*", "", "._photo.jpg", true},
      {"._*", "", "._", true},
      {"._*", "", ".photo", false},
      {"*.tmp", "", "a.tmp", true},
      {"*.tmp", "", ".tmp", true},
      {"*.tmp", "x", "a.tmp", true},
      {"*", "", "anything", true},
      {"[ab]?", "", "a1", true},
      {"[ab]?", "", "c1", false},
      {"\\*", "", "*", true},
      {"\\*", "", "a", false},
      {"cache/x", "cache", "x", true},
      {"cache/x", "", "x", false},
      {"cache/x", "a/cache", "x", false},
      {"cache/*", "cache", "x", true},
      {"cache/*", "cache/sub", "x", false},
      {"*/cache", "a", "cache", true},
      {"*/cache", "a/b", "cache", false},
      {"/build", "", "build", true},
      {"/build", "sub", "build", false},
      {"caf\u00e9*", "", "caf\u00e9.txt", true},
  }));
  CAPTURE(row.pattern, row.folder, row.name);
  CHECK(Exclusion({row.pattern}).excludes(row.folder, row.name.c_str()) == row.excluded);
}

TEST_CASE("any pattern of several excludes, and none excludes nothing") {
  const Exclusion several({"a", "b*"});
  CHECK(several.excludes("", "a"));
  CHECK(several.excludes("", "bb"));
  CHECK_FALSE(several.excludes("", "c"));
  CHECK_FALSE(Exclusion({}).excludes("", "a"));
}

}  // namespace
}  // namespace zipmodule::storage
