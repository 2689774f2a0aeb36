#include <tuple>

#include "base/error.hpp"
#include "queue/fixture.hpp"

using namespace zipmodule;
using namespace zipmodule::queue;
using namespace zipmodule::queue::test;

namespace {

struct BadFiles {
  std::string files;
  std::string message;
};

std::string element(const std::string& members) { return "[{" + members + "}]"; }
std::string source(const std::string& text) { return element("\"source\": \"" + text + "\""); }
std::string beside_source(const std::string& members) { return element(R"("source": "a/b", )" + members); }

const std::vector<BadFiles>& bad_files() {
  static const std::vector<BadFiles> table{
      {"{}", "files: must be an array"},
      {"\"a\"", "files: must be an array"},
      {"null", "files: must be an array"},
      {"[]", "files: must not be empty"},
      {"[1]", "files[0]: must be an object"},
      {"[null]", "files[0]: must be an object"},
      {"[[]]", "files[0]: must be an object"},
      {"[{}]", "files[0].source: is missing"},
      {R"([{"destination": "d"}])", "files[0].source: is missing"},
      {element(R"("source": 1)"), "files[0].source: must be a string"},
      {element(R"("source": null)"), "files[0].source: must be a string"},
      {beside_source(R"("destination": 1)"), "files[0].destination: must be a string"},
      {beside_source(R"("destination": null)"), "files[0].destination: must be a string"},
      {beside_source(R"("name": [])"), "files[0].name: must be a string"},
      {beside_source(R"("dest": "x")"), "files[0]: unknown key \"dest\""},
      {source(""), "files[0].source: must not be empty"},
      {source("media:"), "files[0].source: must name a path below the root"},
      {source(":a"), "files[0].source: the root before ':' must have"},
      {source("me dia:a"), "files[0].source: the root before ':' must have"},
      {source(std::string(65, 'r') + ":a"), "files[0].source: the root before ':' must have"},
      {source("/etc/passwd"), "files[0].source: must be a relative path"},
      {source("media:/etc"), "files[0].source: must be a relative path"},
      {source(".."), "files[0].source: must not contain '..'"},
      {source("../a"), "files[0].source: must not contain '..'"},
      {source("a/.."), "files[0].source: must not contain '..'"},
      {source("a/../b"), "files[0].source: must not contain '..'"},
      {source("a/../"), "files[0].source: must not contain '..'"},
      {source("media:../a"), "files[0].source: must not contain '..'"},
      {source("."), "files[0].source: must not contain '.'"},
      {source("./a"), "files[0].source: must not contain '.'"},
      {source("a/./b"), "files[0].source: must not contain '.'"},
      {source("a//b"), "files[0].source: must not contain an empty component"},
      {source("a//"), "files[0].source: must not contain an empty component"},
      {source("a\\n"), "files[0].source: must not contain control characters"},
      {source("a\\u0001"), "files[0].source: must not contain control characters"},
      {source("a\\u001f"), "files[0].source: must not contain control characters"},
      {source("a\\u007f"), "files[0].source: must not contain control characters"},
      {source(std::string(4097, 'x')), "files[0].source: must have at most 4096 bytes"},
      {beside_source(R"("destination": "/d")"), "files[0].destination: must be a relative path"},
      {beside_source(R"("destination": "/")"), "files[0].destination: must be a relative path"},
      {beside_source(R"("destination": "d/")"), "files[0].destination: must not end with '/'"},
      {beside_source(R"("destination": "d//e")"), "files[0].destination: must not contain an empty component"},
      {beside_source(R"("destination": "../d")"), "files[0].destination: must not contain '..'"},
      {beside_source(R"("destination": "d/.")"), "files[0].destination: must not contain '.'"},
      {beside_source(R"("destination": "d\\e")"), "files[0].destination: must not contain '\\'"},
      {beside_source(R"("destination": "C:")"), "files[0].destination: must not begin with a drive letter"},
      {beside_source(R"("destination": "c:/x")"), "files[0].destination: must not begin with a drive letter"},
      {beside_source(R"("destination": "d\te")"), "files[0].destination: must not contain control characters"},
      {beside_source("\"destination\": \"" + std::string(65534, 'd') + "\""),
       "files[0].destination: must have at most 65535 bytes together with the name"},
      {beside_source(R"("name": "")"), "files[0].name: must not be empty"},
      {beside_source(R"("name": "x/y")"), "files[0].name: must not contain '/'"},
      {beside_source(R"("name": "..")"), "files[0].name: must not contain '..'"},
      {beside_source(R"("name": ".")"), "files[0].name: must not contain '.'"},
      {beside_source(R"("name": "x\\y")"), "files[0].name: must not contain '\\'"},
      {beside_source(R"("name": "C:x")"), "files[0].name: must not begin with a drive letter"},
      {beside_source(R"("name": "x\u0002")"), "files[0].name: must not contain control characters"},
      {beside_source("\"name\": \"" + std::string(256, 'n') + "\""), "files[0].name: must have at most 255 bytes"},
      {element(R"("source": "a/", "name": "n")"), "files[0].name: can't be given for the contents of a folder"},
      {R"([{"source": "a"}, {"source": "b"}, {"source": "c"}, {"source": "x/../y"}, {"source": ""}])",
       "files[3].source: must not contain '..'"},
  };
  return table;
}

// The message of the Error{payload} that publishing throws.
std::string refusal(Bench& bench, const PublishRequest& request) {
  try {
    Publisher(bench.db.options()).publish(request);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::payload);
    return error.what();
  }
  return "accepted";
}

// What the server says to a statement: "SQLSTATE message", or "accepted".
std::string answer_to(const Bench& bench, const std::string& call) {
  return bench.db.sql(
      "CREATE OR REPLACE FUNCTION pg_temp.answer() RETURNS text LANGUAGE plpgsql AS $body$ BEGIN PERFORM " + call +
      "; RETURN 'accepted'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $body$; "
      "SELECT pg_temp.answer()");
}

}  // namespace

TEST_CASE("every malformed file list is refused with the element and the rule, and nothing is stored") {
  Bench bench;
  for (const auto& row : bad_files()) {
    INFO(row.files.substr(0, 200));
    const std::string message = refusal(bench, {"s", "a", row.files, {}});
    CHECK(message.substr(0, row.message.size()) == row.message);
  }
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.job") == "0");
}

TEST_CASE("unusual but legal file lists are taken") {
  Bench bench;
  for (const std::string& files : {
           source("media:series/42/"),
           source("a..b/c.."),
           source(".hidden"),
           source("a/.b"),
           source("a/b:c"),
           source("default:a:b"),
           source("back\\\\slash"),
           source("ünïcode/文"),
           source(std::string(4096, 'x')),
           beside_source(R"("destination": "")"),
           beside_source(R"("destination": "d/e", "name": "n.txt")"),
           beside_source(R"("name": "...")"),
           element(R"("source": "a/", "destination": "d")"),
       }) {
    INFO(files.substr(0, 200));
    CHECK(refusal(bench, {"s", "a", files, {}}) == "accepted");
  }
}

TEST_CASE("a list that is accepted at one look is one that every rule accepts, and the other way round") {
  Bench bench;
  // '.h' has to be looked at rule by rule, and with it all of its list.
  const std::string disagreements = bench.db.sql(R"sql(
    CREATE FUNCTION pg_temp.refusal(files jsonb) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM zipmodule.check_files(files, 'replace');
      RETURN NULL;
    EXCEPTION WHEN invalid_parameter_value THEN
      RETURN SQLERRM;
    END $$;
    WITH part(text) AS (
      VALUES ('a'), ('.'), ('..'), ('.h'), (''), ('a b'), ('a:b'), ('C:'), ('a\'), (E'a\x01'), (E'\x7f'), ('a"b'), ('ü'),
             ('a,{'), ('", "source": "b'), (repeat('x', 300))
    ), path(text) AS (
      SELECT text FROM part
      UNION SELECT one.text || '/' || other.text FROM part AS one, part AS other
      UNION SELECT text || '/' FROM part
      UNION SELECT 'media:' || text FROM part
    ), element(json) AS (
      SELECT jsonb_build_object('source', text) FROM path
      UNION ALL SELECT jsonb_build_object('source', 'a', 'destination', text) FROM path
      UNION ALL SELECT jsonb_build_object('source', 'a', 'name', text) FROM path
      UNION ALL SELECT jsonb_build_object('source', path.text, 'name', 'n', 'destination', part.text) FROM path, part
    )
    SELECT count(*) FILTER (WHERE alone IS DISTINCT FROM among OR alone IS DISTINCT FROM behind)
           || ' of ' || count(*) || ', taken ' || count(*) FILTER (WHERE alone IS NULL)
    FROM element
    CROSS JOIN LATERAL (
      SELECT pg_temp.refusal(jsonb_build_array(json)) AS alone,
             pg_temp.refusal(jsonb_build_array(json, '{"source": ".h"}'::jsonb)) AS among,
             replace(pg_temp.refusal(jsonb_build_array('{"source": "a"}'::jsonb, json)), 'files[1]', 'files[0]') AS behind
    ) AS said)sql");
  INFO(disagreements);
  CHECK(disagreements.substr(0, 5) == "0 of ");
  CHECK(std::stoi(disagreements.substr(disagreements.rfind(' '))) > 100);
}

TEST_CASE("names of series and archive that could not be a path component are refused") {
  Bench bench;
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "must not be empty"},
      {"a/b", "must not contain '/'"},
      {".a", "must not begin with '.'"},
      {"..", "must not begin with '.'"},
      {"a\\b", "must not contain '\\'"},
      {"a\nb", "must not contain control characters"},
      {std::string(201, 'x'), "must have at most 200 bytes"},
  };
  for (const auto& [name, rule] : bad) {
    CHECK(refusal(bench, {name, "a", k_files, {}}) == "series: " + rule);
    CHECK(refusal(bench, {"s", name, k_files, {}}) == "archive: " + rule);
    CHECK(refusal(bench, {"s", "a", k_files, {{"lane", name}}}) == "lane: " + rule);
  }
  CHECK(refusal(bench, {std::string(200, 'x'), "a.b c", k_files, {}}) == "accepted");
}

TEST_CASE("options with values that make no sense are refused") {
  Bench bench;
  const std::vector<std::tuple<std::string, std::string, std::string>> bad{
      {"metadata", "[]", "metadata: must be an object"},
      {"quiet", "-1 second", "quiet: must not be negative"},
      {"quiet", "101 years", "quiet: must be at most 100 years"},
      {"max_wait", "-1 day", "max_wait: must not be negative"},
      {"on_missing", "ignore", "on_missing: must be 'fail' or 'skip'"},
      {"level", "best", "level: must be 'store', 'fast', 'balanced' or 'small'"},
      {"mode", "append", "mode: must be 'replace' or 'merge'"},
      {"quiet", "soon", "invalid input syntax for type interval: \"soon\""},
      {"priority", "high", "invalid input syntax for type integer: \"high\""},
      {"metadata", "{", "invalid input syntax for type json"},
  };
  for (const auto& [name, value, message] : bad) CHECK(refusal(bench, {"s", "a", k_files, {{name, value}}}) == message);
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.job") == "0");
}

TEST_CASE("null arguments are refused by name with SQLSTATE 22023") {
  Bench bench;
  const std::string files = "'[{\"source\": \"a\"}]'";
  const std::vector<std::pair<std::string, std::string>> calls{
      {"NULL, 'a', " + files, "series: must not be null"},
      {"'s', NULL, " + files, "archive: must not be null"},
      {"'s', 'a', NULL", "files: must not be null"},
      {"'s', 'a', " + files + ", metadata => NULL", "metadata: must not be null"},
      {"'s', 'a', " + files + ", priority => NULL", "priority: must not be null"},
      {"'s', 'a', " + files + ", quiet => NULL", "quiet: must not be null"},
      {"'s', 'a', " + files + ", max_wait => NULL", "max_wait: must not be null"},
      {"'s', 'a', " + files + ", on_missing => NULL", "on_missing: must be 'fail' or 'skip'"},
      {"'s', 'a', " + files + ", mode => NULL", "mode: must be 'replace' or 'merge'"},
  };
  for (const auto& [arguments, message] : calls) {
    CHECK(answer_to(bench, "zipmodule.publish(" + arguments + ")") == "22023 " + message);
  }
  CHECK(answer_to(bench, "zipmodule.publish('s', 'a', " + files + ", lane => NULL, level => NULL)") == "accepted");
}

TEST_CASE("an unknown publish option is a usage error and never becomes SQL") {
  Bench bench;
  Publisher publisher(bench.db.options());
  CHECK_THROWS_AS(publisher.publish({"s", "a", k_files, {{"priority => 1); DROP SCHEMA zipmodule; --", "1"}}}), Error);
  CHECK(bench.db.sql("SELECT count(*) FROM zipmodule.job") == "0");
}

TEST_CASE("a zero byte never cuts an argument short") {
  Bench bench;
  CHECK(refusal(bench, {std::string("s\0x", 3), "a", k_files, {}}) == "publish arguments must not contain a zero byte");
  CHECK(refusal(bench, {"s", "a", source("a\\u0000"), {}}) == "unsupported Unicode escape sequence");
}

TEST_CASE("a hundred thousand elements are checked within a publish") {
  Bench bench;
  bench.db.sql(
      "SELECT zipmodule.publish('s', 'a', (SELECT jsonb_agg(jsonb_build_object('source', 'media:d' || n || '/f.jpg', "
      "'destination', 'd' || n)) FROM generate_series(1, 100000) n))");
  CHECK(bench.job("jsonb_array_length(files)") == "100000");
}
