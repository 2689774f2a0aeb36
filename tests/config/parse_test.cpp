#include "config/parse.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/paths.hpp"

using namespace zipmodule::config;

namespace {

const Machine k_machine{4, "web1"};

// Lines 1 to 5 of every case below; what a case adds begins on line 6.
const std::string k_minimal =
    "content:\n"
    "  roots:\n"
    "    default: /srv/content\n"
    "archives:\n"
    "  root: /srv/archives\n";

std::vector<std::string> problems_in(const std::string& yaml) {
  std::vector<std::string> lines;
  for (const auto& problem : parse(yaml, "z.yaml", k_machine).problems) lines.push_back(to_string(problem));
  return lines;
}

Config valid(const std::string& yaml) {
  const auto parsed = parse(yaml, "z.yaml", k_machine);
  for (const auto& problem : parsed.problems) FAIL(to_string(problem));
  return parsed.config;
}

}  // namespace

TEST_CASE("a minimal file leaves every default in place") {
  const Config config = valid(k_minimal);
  Config expected;
  expected.content.roots["default"] = std::filesystem::path("/srv/content");
  expected.archives.root = "/srv/archives";
  expected.run.host = "web1";
  expected.run.workers = 8;
  expected.run.threads = 4;
  CHECK(config == expected);
}

TEST_CASE("every key is read into its place") {
  const Config config = valid(R"(
database: {dsn: "host=db dbname=z"}
content: {roots: {default: /c/, media: /m}}
archives: {root: /a, store: north, grace: 1h30m, min_free: 0}
run:
  lock_file: /l
  lock_busy_exit: 75
  host: files-2
  workers: 3
  threads: 5
  memory: 64MiB
  max_runtime: 50s
  linger: 20s
  lease: 10s
  max_attempts: 9
  lane_max: 2
  metrics_file: /var/lib/z.prom
  ping_url: https://hc-ping.com/id
keep: {telemetry: 30d, runs: 7d}
check: {late: 3m, transaction: 2h}
zip: {level: store, align: off, verify_reuse: always, on_duplicate: fail, portable_names: true, allow_empty: true,
      exclude: [a, "*.tmp", "cache/*"]}
limits: {max_entries: 10, max_bytes: 10 MB, max_depth: 7}
log: {file: /var/log/z.log}
)");
  CHECK(config.database.dsn == "host=db dbname=z");
  CHECK(to_string(config.content.roots.at("default")) == "/c");
  CHECK(to_string(config.content.roots.at("media")) == "/m");
  CHECK(config.archives == Archives{"/a", "north", std::chrono::minutes(90), 0, 0644, {}});
  using std::chrono::seconds;
  CHECK(config.run == Run{"/l", 75, "files-2", 3, 5, 64 << 20, seconds(50), seconds(20), seconds(10), 9, 2,
                          "/var/lib/z.prom", "https://hc-ping.com/id"});
  CHECK(config.keep == Keep{std::chrono::hours(30 * 24), std::chrono::hours(7 * 24)});
  CHECK(config.check == zipmodule::config::Check{seconds(180), std::chrono::hours(2)});
  CHECK(config.zip == Zip{"store", "fail", "off", "always", true, true, {"a", "*.tmp", "cache/*"}});
  CHECK(config.limits == Limits{10, 10'000'000, 7});
  CHECK(config.log.file == "/var/log/z.log");
}

TEST_CASE("auto takes the machine's measure, and an absent key means auto") {
  struct Case {
    unsigned cores, workers, threads;
  };
  for (const auto& [cores, workers, threads] : {Case{0, 2, 1}, {1, 2, 1}, {4, 8, 4}, {64, 16, 64}, {4096, 16, 1024}}) {
    INFO(cores);
    const auto parsed = parse(k_minimal + "run: {workers: auto, threads: auto, host: auto}\n", "z", {cores, "h"});
    CHECK(parsed.problems.empty());
    CHECK(parsed.config.run.workers == workers);
    CHECK(parsed.config.run.threads == threads);
    CHECK(parsed.config.run.host == "h");
    CHECK(parse(k_minimal, "z", {cores, "h"}).config == parsed.config);
  }
}

TEST_CASE("a section whose keys are all commented out is as good as none") {
  CHECK(valid(k_minimal + "run:\nzip: ~\nlog: {file: }\n") == valid(k_minimal));
}

TEST_CASE("each problem names its line, its key and what would be right") {
  struct Case {
    std::string yaml;     // after k_minimal
    std::string problem;  // a part of the only problem
  };
  const std::vector<Case> cases{
      {"run:\n  wrokers: 4\n", "z.yaml:7: unknown key 'run.wrokers'; did you mean 'run.workers'?"},
      {"rnu:\n  workers: 4\n", "z.yaml:6: unknown key 'rnu'; did you mean 'run'?"},
      {"run:\n  colour: red\n",
       "z.yaml:7: unknown key 'run.colour'; valid keys here: lock_file, lock_busy_exit, host, "},
      {"lease: 60s\n", "z.yaml:6: unknown key 'lease'; did you mean 'run.lease'?"},
      {"run: {lease: 9s}\n", "z.yaml:6: run.lease: '9s' is too short; at least 10s"},
      {"run: {lease: 60}\n", "z.yaml:6: run.lease: '60' has no unit; "},
      {"run: {lease: 10500ms}\n", "z.yaml:6: run.lease: '10500ms' is not in whole seconds"},
      {"run: {lease: [60s]}\n", "z.yaml:6: run.lease: must be a single value, is a list"},
      {"run: {lease: {a: b}}\n", "z.yaml:6: run.lease: must be a single value, is a mapping"},
      {"run: {lease: }\n", "z.yaml:6: run.lease: has no value"},
      {"run: {max_runtime: 0}\n", "z.yaml:6: run.max_runtime: '0' is too short; at least 1s"},
      {"run: {memory: 256MuB}\n", "z.yaml:6: run.memory: '256MuB' is not a size; "},
      {"run: {memory: 31MiB}\n", "z.yaml:6: run.memory: '31MiB' is too small; at least 32MiB"},
      {"archives2: x\n", "z.yaml:6: unknown key 'archives2'; did you mean 'archives'?"},
      {"run: {max_attempts: 0}\n", "z.yaml:6: run.max_attempts: '0' is not a whole number from 1 to 1000"},
      {"run: {max_attempts: 1001}\n", "z.yaml:6: run.max_attempts: '1001' is not a whole number from 1 to 1000"},
      {"run: {max_attempts: five}\n", "z.yaml:6: run.max_attempts: 'five' is not a whole number from 1 to 1000"},
      {"run: {lock_busy_exit: 256}\n", "z.yaml:6: run.lock_busy_exit: '256' is not a whole number from 0 to 255"},
      {"run: {lock_busy_exit: -1}\n", "z.yaml:6: run.lock_busy_exit: '-1' is not a whole number from 0 to 255"},
      {"run: {workers: 0}\n", "z.yaml:6: run.workers: '0' is not a whole number from 1 to 1024"},
      {"run: {threads: 1025}\n", "z.yaml:6: run.threads: '1025' is not a whole number from 1 to 1024"},
      {"run: {max_attempts: auto}\n", "z.yaml:6: run.max_attempts: 'auto' is not a whole number"},
      {"run: {lock_file: run/lock}\n", "z.yaml:6: run.lock_file: 'run/lock' must be an absolute path"},
      {"run: {host: ''}\n", "z.yaml:6: run.host: must not be empty"},
      {"run: 5\n", "z.yaml:6: run: must be a mapping of keys to values, is a single value"},
      {"run: [a, b]\n", "z.yaml:6: run: must be a mapping of keys to values, is a list"},
      {"run:\n  lease: 60s\n  lease: 70s\n", "z.yaml:8: run.lease: stands here twice, first on line 7"},
      {"archives: {root: /b}\n", "z.yaml:6: archives: stands here twice, first on line 4"},
      {"run: {[a]: b}\n", "z.yaml:6: run: a key must be a word, is a list"},
      {"zip: {level: balnced}\n", "'balnced' is not one of store, fast, balanced, small; did you mean 'balanced'?"},
      {"zip: {align: yes}\n", "z.yaml:6: zip.align: 'yes' is not one of auto, off"},
      {"zip: {verify_reuse: often}\n", "z.yaml:6: zip.verify_reuse: 'often' is not one of never, sample, always"},
      {"zip: {on_duplicate: 5}\n", "z.yaml:6: zip.on_duplicate: '5' is not one of rename, fail"},
      {"zip: {exclude: a}\n", "z.yaml:6: zip.exclude: must be a list, such as [a, b]; is a single value"},
      {"zip: {exclude: }\n", "z.yaml:6: zip.exclude: must be a list, such as [a, b]; is nothing"},
      {"zip:\n  exclude: [a,\n    [b]]\n", "z.yaml:8: zip.exclude: must be single values, has a list"},
      {"zip: {exclude: [a, '']}\n", "z.yaml:6: zip.exclude: a pattern must not be empty"},
      {"zip: {exclude: [cache/]}\n",
       "z.yaml:6: zip.exclude: 'cache/' ends in '/', which no name does; 'cache' leaves out a folder of that name as "
       "well"},
      {"zip: {portable_names: maybe}\n", "z.yaml:6: zip.portable_names: 'maybe' is neither true nor false"},
      {"limits: {max_entries: 0}\n", "z.yaml:6: limits.max_entries: '0' is not a whole number from 1 to 4294967295"},
      {"limits: {max_bytes: 0}\n", "z.yaml:6: limits.max_bytes: '0' is too small; at least 1 byte"},
      {"log: {file: zip.log}\n", "z.yaml:6: log.file: 'zip.log' must be an absolute path"},
      {"database: {dsn: [a]}\n", "z.yaml:6: database.dsn: must be a single value, is a list"},
      {"---\ncontent: {}\n", "a second document begins; the file must hold one"},
  };
  for (const auto& [yaml, problem] : cases) {
    INFO(yaml);
    const auto found = problems_in(k_minimal + yaml);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found.front(), Catch::Matchers::Contains(problem));
  }
}

TEST_CASE("several problems are all reported, in the order of their lines") {
  const auto found = problems_in(
      "content:\n"
      "  roots:\n"
      "    default: srv/content\n"
      "    me dia: /srv/media\n"
      "archives:\n"
      "  grace: 1x\n"
      "  min_free: much\n"
      "run:\n"
      "  leese: 60s\n"
      "  workers: many\n"
      "zpi: {}\n");
  REQUIRE(found.size() == 8);
  const std::vector<std::string> begins{
      "z.yaml:3: content.roots.default: 'srv/content' must be an absolute path",
      "z.yaml:4: content.roots.me dia: a root's name has",
      "z.yaml:5: archives.root: is missing; ",
      "z.yaml:6: archives.grace: '1x' is not a duration",
      "z.yaml:7: archives.min_free: 'much' is not a size",
      "z.yaml:9: unknown key 'run.leese'; did you mean 'run.lease'?",
      "z.yaml:10: run.workers: 'many' is not a whole number",
      "z.yaml:11: unknown key 'zpi'; did you mean 'zip'?",
  };
  for (std::size_t i = 0; i < begins.size(); ++i) CHECK_THAT(found[i], Catch::Matchers::StartsWith(begins[i]));
}

TEST_CASE("required keys are each named where they are missing") {
  for (const std::string yaml :
       {"", "# nothing\n", "run: {lease: 60s}\n", "content:\narchives:\n", "content: {roots: {}}\n"}) {
    INFO(yaml);
    const auto found = problems_in(yaml);
    REQUIRE(found.size() == 2);
    CHECK_THAT(found[0] + found[1], Catch::Matchers::Contains("content.roots: is missing"));
    CHECK_THAT(found[0] + found[1], Catch::Matchers::Contains("archives.root: is missing"));
  }
}

TEST_CASE("broken YAML is one problem with its line") {
  for (const std::string yaml : {"run: {lease: 60s\n", "run: [\n", "a: b: c\n", "\tx: 1\n", "*nobody\n"}) {
    INFO(yaml);
    const auto found = problems_in(k_minimal + yaml);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found.front(), Catch::Matchers::Contains("not valid YAML"));
    CHECK_THAT(found.front(), Catch::Matchers::StartsWith("z.yaml:"));
  }
}

TEST_CASE("a file that is a list or a word is one problem beside what is missing") {
  CHECK_THAT(problems_in("- a\n- b\n").front(),
             Catch::Matchers::Contains("the file: must be a mapping of keys to values"));
  CHECK_THAT(problems_in("hello\n").front(),
             Catch::Matchers::Contains("the file: must be a mapping of keys to values"));
}

TEST_CASE("a remote root is refused by its scheme, and its password is not shown") {
  for (const std::string scheme : {"gs", "ftp"}) {
    const auto found = problems_in("content: {roots: {far: \"" + scheme +
                                   "://user:secret@host/x\"}}\narchives: {root: /srv/archives}\n");
    REQUIRE(found.size() == 1);
    CHECK_THAT(found.front(),
               Catch::Matchers::Contains("z.yaml:1: content.roots.far: is a remote place (" + scheme + "://)"));
    CHECK_THAT(found.front(), Catch::Matchers::Contains(
                                  "what there is are local folders, sftp://user@host/folder, s3://bucket/prefix"));
    CHECK_THAT(found.front(), !Catch::Matchers::Contains("secret"));
  }
}

TEST_CASE("content and archives may not lie inside each other") {
  struct Case {
    std::string content, archives, problem;
  };
  const std::vector<Case> cases{
      {"/srv", "/srv/archives", "z.yaml:2: archives.root: /srv/archives lies inside content.roots.c (/srv)"},
      {"/srv/a", "/srv/a", "z.yaml:2: archives.root: /srv/a lies inside content.roots.c (/srv/a)"},
      {"/", "/srv/a", "archives.root: /srv/a lies inside content.roots.c (/)"},
      {"/srv/a/c/", "/srv/a/", "z.yaml:1: content.roots.c: /srv/a/c lies inside archives.root (/srv/a)"},
      {"/srv/x/../a", "/srv/a/b", "archives.root: /srv/a/b lies inside"},
      {"/srv/a", "/srv/ab", ""},
      {"/srv/ab", "/srv/a", ""},
  };
  for (const auto& [content, archives, problem] : cases) {
    INFO(content << " and " << archives);
    const auto found = problems_in("content: {roots: {c: " + content + "}}\narchives: {root: " + archives + "}\n");
    REQUIRE(found.size() == (problem.empty() ? 0 : 1));
    if (!problem.empty()) CHECK_THAT(found.front(), Catch::Matchers::Contains(problem));
  }
}

TEST_CASE("a symlink does not hide that archives lie inside content") {
  namespace fs = std::filesystem;
  const fs::path base = fs::path(zipmodule::test::build_path("tests/config_overlap"));
  fs::remove_all(base);
  fs::create_directories(base / "content" / "inner");
  fs::create_directory_symlink(base / "content" / "inner", base / "archives");
  const auto found = problems_in("content: {roots: {c: " + (base / "content").string() +
                                 "}}\narchives: {root: " + (base / "archives" / "store").string() + "}\n");
  REQUIRE(found.size() == 1);
  CHECK_THAT(found.front(), Catch::Matchers::Contains("lies inside content.roots.c"));
}

TEST_CASE("the database section alone is read past problems elsewhere") {
  const auto parsed = parse_database("database: {dsn: x}\nrun: {lease: 1}\nnonsense: 1\n", "z.yaml");
  CHECK(parsed.problems.empty());
  CHECK(parsed.config.database.dsn == "x");
  CHECK(parse_database("database: {dns: x}\n", "z.yaml").problems.size() == 1);
}
