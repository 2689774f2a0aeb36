#include "archive/file_list.hpp"

#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"

namespace zipmodule::archive {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("a source is a root and a path; one that ends in '/' is what is in the folder") {
  struct Case {
    std::string source, root, path;
    bool contents_only;
  };
  const auto test = GENERATE(values<Case>({
      {"a.txt", "default", "a.txt", false},
      {"a/b.txt", "default", "a/b.txt", false},
      {"a/", "default", "a", true},
      {"media:a/b", "media", "a/b", false},
      {"media:a/", "media", "a", true},
      {"media:", "media", "", true},
      {"default:12:30.txt", "default", "12:30.txt", false},
      {"folder/12:30.txt", "default", "folder/12:30.txt", false},
      {"media:a:b/c", "media", "a:b/c", false},
  }));
  CAPTURE(test.source);
  const Listed listed = parse_source(test.source);
  CHECK(listed.root == test.root);
  CHECK(listed.path == test.path);
  CHECK(listed.contents_only == test.contents_only);
  CHECK(listed.destination.empty());
  CHECK(listed.name.empty());
}

TEST_CASE("a list is read in its order, with destinations and names") {
  const auto list = parse_file_list(R"([{"source": "media:x.jpg", "destination": "/pics/best/", "name": "\u00e9.jpg"},
                                        {"source": "b/"}])");
  REQUIRE(list.size() == 2);
  CHECK(list[0].root == "media");
  CHECK(list[0].destination == "pics/best");
  CHECK(list[0].name == "\u00e9.jpg");
  CHECK(list[1].path == "b");
  CHECK(list[1].contents_only);
  CHECK(parse_file_list("[]").empty());
}

TEST_CASE("what no publish would have let in is an error of the payload, that names the element") {
  const auto [json, text] = GENERATE(table<std::string, std::string>({
      {"", "not JSON"},
      {"[{", "not JSON"},
      {"\"\xff\"", "not JSON"},
      {"{}", "not an array"},
      {"null", "not an array"},
      {"[1]", "files[0]: must be an object"},
      {R"([{"source": "a"}, []])", "files[1]: must be an object"},
      {"[{}]", "files[0].source: is required"},
      {R"([{"source": ""}])", "files[0].source: is required"},
      {R"([{"source": 1}])", "files[0].source: must be a string"},
      {R"([{"source": "a", "name": null}])", "files[0].name: must be a string"},
      {R"([{"source": "a", "mode": "644"}])", "unknown key 'mode'"},
      {R"([{"source": "/etc/passwd"}])", "files[0].source: must not be absolute"},
      {R"([{"source": "media:/etc"}])", "files[0].source: must not be absolute"},
      {R"([{"source": "../a"}])", "must not contain '..'"},
      {R"([{"source": "a/../b"}])", "must not contain '..'"},
      {R"([{"source": "media:.."}])", "must not contain '..'"},
      {R"([{"source": "a/../"}])", "must not contain '..'"},
      {R"([{"source": "a", "destination": "../x"}])", "files[0].destination: must not contain '..'"},
      {R"([{"source": "a", "name": "x/y"}])", "files[0].name: must be a plain name"},
      {R"([{"source": "a", "name": ".."}])", "files[0].name: must be a plain name"},
      {R"([{"source": "a\u0000b", "name": "x"}])", "files[0].source: must not contain NUL"},
  }));
  CAPTURE(json);
  try {
    parse_file_list(json);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::payload);
    CHECK_THAT(error.what(), Contains(text));
  }
}

TEST_CASE("dots that are no parent folder are names") {
  const auto list = parse_file_list(R"([{"source": "..a/b../...", "destination": "x..", "name": "..."}])");
  CHECK(list.at(0).path == "..a/b../...");
}

TEST_CASE("a list nested a million deep is refused, not a crash") {
  CHECK_THROWS_AS(parse_file_list(std::string(1'000'000, '[')), Error);
  CHECK_THROWS_AS(parse_file_list(std::string(1'000'000, '[') + std::string(1'000'000, ']')), Error);
}

}  // namespace
}  // namespace zipmodule::archive
