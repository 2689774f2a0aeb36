#include "zip/names.hpp"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"

namespace zipmodule::zip {
namespace {

using Catch::Matchers::Contains;

// What a list of names becomes; a repeated folder is left out.
std::vector<std::string> added(const std::vector<std::string>& names, OnDuplicate on_duplicate = OnDuplicate::rename,
                               bool portable = false) {
  NameSet set(on_duplicate, portable);
  std::vector<std::string> result;
  for (const auto& name : names) {
    const auto unique = set.add(name);
    CHECK(unique.renamed == (unique.name != name));
    if (!unique.repeated) result.push_back(unique.name);
  }
  return result;
}

// A name of so many bytes, in components that disks can hold.
std::string name_of(std::size_t bytes, char letter = 'x') {
  std::string name;
  while (bytes - name.size() > 250) name += std::string(199, letter) + '/';
  return name + std::string(bytes - name.size(), letter);
}

TEST_CASE("names that may stand in an archive") {
  const std::string name =
      GENERATE(as<std::string>(), "a", "a/b/c.txt", "folder/", "...", "a/...", "..a", "a..", ".hidden", "x/.y/", " ",
               "a b", "~", "CON", "ab:c", "1:", "\u00e9", "e\u0301", "\u65e5\u672c\u8a9e.txt", "\U0001F600", "\u200f",
               name_of(65'535), std::string(255, 'x'), std::string(255, 'x') + "/");
  CAPTURE(name.substr(0, 50));
  CHECK(name_problem(name) == std::nullopt);
}

TEST_CASE("names that may not, and why") {
  const auto [name, why] = GENERATE(table<std::string, std::string>({
      {"", "is empty"},
      {"/", "is empty"},
      {"/etc/passwd", "is absolute"},
      {"//x", "is absolute"},
      {"C:x", "drive letter"},
      {"c:/x", "drive letter"},
      {"z:", "drive letter"},
      {"a\\b", "backslash"},
      {"..\\x", "backslash"},
      {std::string("a\0b", 3), "control character"},
      {"a\nb", "control character"},
      {"a\x7F", "control character"},
      {"\x1b[2J", "control character"},
      {"..", "'..'"},
      {"../x", "'..'"},
      {"a/../b", "'..'"},
      {"a/..", "'..'"},
      {"a/../", "'..'"},
      {".", "'.'"},
      {"./a", "'.'"},
      {"a/./b", "'.'"},
      {"a//b", "empty component"},
      {"a//", "empty component"},
      {"\xff", "not UTF-8"},
      {"caf\xe9", "not UTF-8"},
      {"\xc0\xaf", "not UTF-8"},  // overlong '/'
      {"a\xc0\xae\xc0\xae/b", "not UTF-8"},
      {"\xed\xa0\x80", "not UTF-8"},      // a surrogate
      {"\xf4\x90\x80\x80", "not UTF-8"},  // past U+10FFFF
      {"\xe2\x82", "not UTF-8"},          // cut
      {name_of(65'536), "65536 bytes"},
      {std::string(256, 'x'), "a component of 256 bytes; 255 is the most"},
      {"a/" + std::string(256, 'x') + "/b", "a component of 256 bytes"},
      {std::string(254, 'x') + "\u00e9", "a component of 256 bytes"},
  }));
  CAPTURE(name.substr(0, 50));
  const auto problem = name_problem(name);
  REQUIRE(problem);
  CHECK_THAT(*problem, Contains(why));
}

TEST_CASE("names that Windows can't create are told") {
  const auto [name, bad] = GENERATE(table<std::string, bool>({
      {"CON", true},        {"con", true},      {"Con.txt", true},   {"a/NUL/b", true},   {"aux.tar.gz", true},
      {"PRN/", true},       {"COM1", true},     {"lpt9.log", true},  {"COM0", false},     {"COM10", false},
      {"CONSOLE", false},   {"xCON", false},    {"con fig", false},  {"a<b", true},       {"a>b", true},
      {"a:b", true},        {"a\"b", true},     {"a|b", true},       {"a?", true},        {"a*", true},
      {"a.", true},         {"a ", true},       {"a./b", true},      {"a /b", true},      {"a/b.", true},
      {"folder./", true},   {" a", false},      {".a", false},       {"a.b", false},      {"a/b", false},
      {"\u00e9", false},    {"aux .txt", true}, {"nul  ", true},     {"COM\u00b9", true}, {"lpt\u00b3.txt", true},
      {"COM\u2074", false}, {"CONIN$", true},   {"conout$.x", true}, {"CONIN", false},    {"com", false},
  }));
  CAPTURE(name);
  CHECK(windows_problem(name).has_value() == bad);
}

TEST_CASE("a portable name is one that Windows can create, and the same where it was already") {
  const auto [name, portable] = GENERATE(table<std::string, std::string>({
      {"a/b.txt", "a/b.txt"},
      {"folder/", "folder/"},
      {"CON", "CON_"},
      {"con.txt", "con_.txt"},
      {"a/nul.tar.gz/b", "a/nul_.tar.gz/b"},
      {"what?.txt", "what_.txt"},
      {"a:b|c", "a_b_c"},
      {"end.", "end_"},
      {"end ", "end_"},
      {"d./f /", "d_/f_/"},
      {"\u65e5?", "\u65e5_"},
      {"Q: what.txt", "Q_ what.txt"},
      {"c:/x", "c_/x"},
      {"AC\\DC.txt", "AC_DC.txt"},
      {"a\nb\x7f", "a_b_"},
      {"aux .txt", "aux _.txt"},
      {"COM\u00b9", "COM\u00b9_"},
      {"CONIN$.log", "CONIN$_.log"},
      {"aux." + std::string(251, 'x'), "aux_." + std::string(250, 'x')},
      {"aux." + std::string(249, 'x') + "\u00e9", "aux_." + std::string(249, 'x')},
  }));
  CAPTURE(name);
  CHECK(portable_name(name) == portable);
  CHECK(windows_problem(portable) == std::nullopt);
  CHECK(portable_name(portable) == portable);
}

TEST_CASE("a portable name keeps to the rules for names, whatever it was") {
  for (const std::string name : {"a..", "...", "a. .", "x/....", "CON.", "con .", "??", "a/ /b", "NUL:", "aux./aux /",
                                 "C:", "\\\\server\\share", "\x1b[2J", "con\x01", "nul .", "aux..", "com\u00b2 .x"}) {
    CAPTURE(name);
    const std::string portable = portable_name(name);
    CHECK(windows_problem(portable) == std::nullopt);
    CHECK(name_problem(portable) == std::nullopt);
  }
}

TEST_CASE("making a name portable mends no name that may not stand in an archive for another reason") {
  for (const std::string name : {"", "/", "/a", "a//b", "..", "a/../b", "./a", "caf\xe9"}) {
    CAPTURE(name);
    CHECK(name_problem(portable_name(name)) == name_problem(name));
  }
  CHECK(name_problem(portable_name("aux." + std::string(252, 'x'))));
}

TEST_CASE("what becomes one name by being made portable is told apart, folders with all that is in them") {
  const auto portable = [](const std::vector<std::string>& names) { return added(names, OnDuplicate::rename, true); };
  using Names = std::vector<std::string>;
  CHECK(portable({"a*/", "a*/x", "a?/", "a?/x", "a?/sub/", "a?/sub/y"}) ==
        Names{"a_/", "a_/x", "a_ (1)/", "a_ (1)/x", "a_ (1)/sub/", "a_ (1)/sub/y"});
  // Also where their files come by turns, and without entries of their own.
  CHECK(portable({"a?/x", "a*/x", "a?/y", "a*/y", "a_/x", "a?/"}) ==
        Names{"a_/x", "a_ (1)/x", "a_/y", "a_ (1)/y", "a_ (2)/x", "a_/"});
  CHECK(portable({"d?/e?/x", "d?/e*/x", "d*/e?/x"}) == Names{"d_/e_/x", "d_/e_ (1)/x", "d_ (1)/e_/x"});
  CHECK(portable({"what?", "what*"}) == Names{"what_", "what_ (1)"});
  CHECK(portable({"a?", "a*/", "a*/x"}) == Names{"a_", "a_ (1)/", "a_ (1)/x"});
  CHECK(portable({"a*/x", "a?"}) == Names{"a_/x", "a_ (1)"});
  NameSet failing(OnDuplicate::fail, true);
  failing.add("a*/");
  CHECK_THROWS_AS(failing.add("a?/"), Error);
}

TEST_CASE("no component is over 255 bytes because of its suffix: its stem is cut between characters") {
  const auto second = [](const std::string& name) { return added({name, name}).back(); };
  CHECK(second(std::string(251, 'x') + ".jpg") == std::string(247, 'x') + " (1).jpg");
  CHECK(second(std::string(247, 'x') + ".jpg") == std::string(247, 'x') + " (1).jpg");
  CHECK(second("d/" + std::string(255, 'x')) == "d/" + std::string(251, 'x') + " (1)");
  CHECK(second("a." + std::string(253, 'x')) == "a." + std::string(249, 'x') + " (1)");
  CHECK(second("." + std::string(254, 'x')) == "." + std::string(250, 'x') + " (1)");
  const std::string umlauts = [] {
    std::string text;
    while (text.size() < 250) text += "\u00e9";
    return text;
  }();
  CHECK(second(umlauts + "x.jpg") == umlauts.substr(0, 246) + " (1).jpg");
  CHECK(second(umlauts + ".jpg") == umlauts.substr(0, 246) + " (1).jpg");
  const std::string folder(255, 'f');
  CHECK(added({folder + "/a", std::string(255, 'F') + "/a"}).back() == std::string(251, 'F') + " (1)/a");
  // Ones that are cut to the same are told apart as well.
  const std::string a = std::string(250, 'x') + "a.jpg";
  const std::string b = std::string(250, 'x') + "b.jpg";
  CHECK(added({a, a, b, b}) ==
        std::vector<std::string>{a, std::string(247, 'x') + " (1).jpg", b, std::string(247, 'x') + " (2).jpg"});
}

TEST_CASE("a later file of a name that is there becomes 'name (1).ext'") {
  using Names = std::vector<std::string>;
  const auto [names, expected] = GENERATE(table<Names, Names>({
      {{"a.txt", "a.txt", "a.txt"}, {"a.txt", "a (1).txt", "a (2).txt"}},
      {{"a.txt", "A.TXT"}, {"a.txt", "A (1).TXT"}},
      {{"x/a.txt", "y/a.txt"}, {"x/a.txt", "y/a.txt"}},
      {{"noext", "noext"}, {"noext", "noext (1)"}},
      {{".profile", ".profile"}, {".profile", ".profile (1)"}},
      {{"p.tar.gz", "p.tar.gz"}, {"p.tar.gz", "p.tar (1).gz"}},
      {{"d.d/f", "d.d/f"}, {"d.d/f", "d.d/f (1)"}},
      {{"a.txt", "a (1).txt", "a.txt"}, {"a.txt", "a (1).txt", "a (2).txt"}},
      {{"a.txt", "a.txt", "a (1).txt"}, {"a.txt", "a (1).txt", "a (1) (1).txt"}},
      // NFC and NFD, and case beyond ASCII
      {{"\u00e9.txt", "e\u0301.txt"}, {"\u00e9.txt", "e\u0301 (1).txt"}},
      {{"\u00c9.txt", "e\u0301.txt"}, {"\u00c9.txt", "e\u0301 (1).txt"}},
      {{"\u0394", "\u03b4"}, {"\u0394", "\u03b4 (1)"}},
      {{"stra\u00dfe", "STRASSE"}, {"stra\u00dfe", "STRASSE (1)"}},
      {{"\u65e5", "\u672c"}, {"\u65e5", "\u672c"}},
  }));
  CHECK(added(names) == expected);
}

TEST_CASE("a later folder that differs in case is another folder, with all below it") {
  CHECK(added({"Pics/", "Pics/a", "pics/", "pics/a", "pics/sub/", "pics/sub/b", "Pics/c"}) ==
        std::vector<std::string>{"Pics/", "Pics/a", "pics (1)/", "pics (1)/a", "pics (1)/sub/", "pics (1)/sub/b",
                                 "Pics/c"});
}

TEST_CASE("folders that have no entry of their own are told apart in the same way") {
  CHECK(added({"Pics/a", "pics/a", "PICS/a", "pics/b"}) ==
        std::vector<std::string>{"Pics/a", "pics (1)/a", "PICS (2)/a", "pics (1)/b"});
}

TEST_CASE("a folder listed twice is one folder, and also when its files came first") {
  CHECK(added({"d/", "d/a", "d/", "d/b"}) == std::vector<std::string>{"d/", "d/a", "d/b"});
  CHECK(added({"d/a", "d/", "d/"}) == std::vector<std::string>{"d/a", "d/"});
}

TEST_CASE("the deepest folder is told apart where only a folder above differs") {
  CHECK(added({"A/x/", "a/x/", "a/X/"}) == std::vector<std::string>{"A/x/", "a (1)/x/", "a (1)/X (1)/"});
}

TEST_CASE("a name that is both a file and a folder is an error that names it") {
  const auto names = GENERATE(values<std::vector<std::string>>(
      {{"a", "a/"}, {"a/", "a"}, {"a", "a/b"}, {"a/b", "a"}, {"A", "a/b"}, {"e\u0301", "\u00e9/"}}));
  NameSet set(GENERATE(OnDuplicate::rename, OnDuplicate::fail));
  set.add(names[0]);
  try {
    set.add(names[1]);
    FAIL("no conflict between " << names[0] << " and " << names[1]);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::name_conflict);
    CHECK_THAT(error.what(), Contains("both a file and a folder"));
  }
}

TEST_CASE("with 'fail' a duplicate is an error that names it, and a folder listed twice is none") {
  CHECK(added({"d/", "d/a", "d/"}, OnDuplicate::fail) == std::vector<std::string>{"d/", "d/a"});
  for (const auto& names : {std::vector<std::string>{"f", "f"}, {"F", "f"}, {"d/", "D/"}, {"d/x", "D/y"}}) {
    NameSet set(OnDuplicate::fail);
    set.add(names[0]);
    CHECK_THROWS_AS(set.add(names[1]), Error);
  }
}

TEST_CASE("a rename never takes a name that is there, whatever the names look like") {
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) {
    names.push_back(fmt::format("f{}.txt", i % 3 == 0 ? "" : fmt::format(" ({})", i % 7)));
    names.push_back(fmt::format("d{}/x", i % 5 == 0 ? "" : fmt::format(" ({})", i % 4)));
  }
  const auto result = added(names);
  CHECK(std::set<std::string>(result.begin(), result.end()).size() == names.size());
}

TEST_CASE("a name that would be too long with its suffix, or that of a folder above, is an error") {
  const auto kind_of = [](const std::vector<std::string>& names) {
    try {
      added(names);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).size() < 400);
      return error.kind();
    }
    return ErrorKind::internal;
  };
  const std::string longest = name_of(65'535);
  CHECK(kind_of({longest, longest}) == ErrorKind::source_name);
  CHECK(kind_of({name_of(65'534) + '/', name_of(65'534, 'X') + '/'}) == ErrorKind::source_name);
  CHECK(kind_of({"a/", "A/" + name_of(65'533)}) == ErrorKind::source_name);
  const std::string fitting = name_of(65'531);
  CHECK(added({fitting, fitting}).back() == fitting + " (1)");
}

TEST_CASE("a hundred thousand equal names take less than seconds") {
  NameSet set(OnDuplicate::rename);
  const auto begin = std::chrono::steady_clock::now();
  std::string last;
  for (int i = 0; i < 100'000; ++i) last = set.add("folder/IMG.jpg").name;
  CHECK(last == "folder/IMG (99999).jpg");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("a folder a thousand levels deep is no trouble") {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "d/";
  NameSet set(OnDuplicate::rename);
  CHECK(set.add(deep + "file").name == deep + "file");
}

}  // namespace
}  // namespace zipmodule::zip
