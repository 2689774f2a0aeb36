// The whole program as a shell sees it, without any service: arguments in; exit code, stdout and stderr out.
#include "cli/app.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/paths.hpp"

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

struct Result {
  int exit_code = -1;
  std::string out;
  std::string err;
};

const fs::path k_folder = fs::path(zipmodule::test::build_path("tests/cli_files"));

std::string content_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

fs::path file_with(const std::string& name, const std::string& text) {
  fs::create_directories(k_folder);
  std::ofstream(k_folder / name, std::ios::trunc) << text;
  return k_folder / name;
}

void redirect(int fd, const fs::path& to, int flags) {
  const int opened = ::open(to.c_str(), flags, 0600);
  if (opened < 0 || ::dup2(opened, fd) < 0) std::_Exit(99);
  ::close(opened);
}

int run_with(std::vector<std::string> arguments) {
  ::setenv("ZIPMODULE_DSN", "host=/nonexistent dbname=z password=secret", 1);
  arguments.insert(arguments.begin(), "zipmodule");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return zipmodule::cli::run_app(static_cast<int>(arguments.size()), argv.data());
}

// Runs the program in a child process, so that signals, streams and environment of the test are left alone. Its stdout
// is caught, unless `output` names another descriptor for it.
Result call(const std::vector<std::string>& arguments, const fs::path& input = "/dev/null", int output = -1) {
  const fs::path out = file_with("stdout", "");
  const fs::path err = file_with("stderr", "");
  const int exit_code = zipmodule::test::in_child([&] {
    redirect(STDIN_FILENO, input, O_RDONLY);
    redirect(STDOUT_FILENO, out, O_WRONLY);
    redirect(STDERR_FILENO, err, O_WRONLY);
    if (output >= 0) ::dup2(output, STDOUT_FILENO);
    return run_with(arguments);
  });
  return {exit_code, content_of(out), content_of(err)};
}

std::string valid_config() {
  return file_with("valid.yaml", "content: {roots: {default: /srv/content}}\narchives: {root: /srv/archives}\n")
      .string();
}

}  // namespace

TEST_CASE("a wrong command line exits 64 and says what is wrong on stderr alone") {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Case> cases{
      {{}, "a verb is missing"},
      {{"stauts"}, "unknown verb 'stauts'; did you mean 'status'?"},
      {{"frobnicate"}, "unknown verb 'frobnicate'\n"},
      {{"--bogus"}, "unknown option '--bogus'"},
      {{"status", "--bogus"}, "--bogus"},
      {{"status", "a", "b", "c"}, "c\n"},
      {{"publish", "a"}, "ARCHIVE is required"},
      {{"explain"}, "SERIES is required"},
      {{"publish", "a", "b", "--option", "priority"}, "--option priority must have the form key=value"},
      {{"publish", "a", "b", "--option", "=1"}, "must have the form key=value"},
      {{"publish", "a", "b", "--option", "lane=1", "--option", "lane=2"}, "--option lane is given twice"},
      {{"publish", "a", "b", "/nonexistent/files.json"}, "/nonexistent/files.json: No such file or directory"},
  };
  for (const auto& [arguments, text] : cases) {
    INFO(text);
    const auto result = call(arguments);
    CHECK(result.exit_code == 64);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("zipmodule: ") && Contains(text));
  }
}

TEST_CASE("the help of prune says that --tables needs the configuration, too") {
  CHECK_THAT(call({"prune", "--help"}).out, Contains("the configuration with its keep.*"));
}

TEST_CASE("help and version go to stdout and exit 0, before and after the verb") {
  CHECK(call({"--version"}).out == call({"status", "--version"}).out);
  CHECK_THAT(call({"--version"}).out, StartsWith("zipmodule "));
  const auto help = call({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.err.empty());
  for (const auto* verb :
       {"migrate", "run", "publish", "status", "explain", "retry", "cancel", "check-config", "check"}) {
    CHECK_THAT(help.out, Contains(verb));
    CHECK_THAT(call({verb, "--help"}).out, Contains(std::string("zipmodule ") + verb));
  }
}

TEST_CASE("global options count before and after the verb") {
  const auto config = valid_config();
  const auto before = call({"--config", config, "--json", "check-config"});
  const auto after = call({"check-config", "--json", "--config", config});
  CHECK(before.exit_code == 0);
  CHECK(before.out == after.out);
  CHECK(nlohmann::json::parse(before.out).at("ok") == true);
}

TEST_CASE("a missing configuration exits 78 with its path and how to name another") {
  for (const std::string verb : {"run", "check", "check-config"}) {
    const auto result = call({verb, "--config", "/nonexistent/z.yaml"});
    CHECK(result.exit_code == 78);
    CHECK_THAT(result.err, Contains("/nonexistent/z.yaml") && Contains("hint: ") && Contains("$ZIPMODULE_CONFIG"));
  }
}

TEST_CASE("check-config prints ok, or every problem with its line, and exits 78") {
  const auto good = call({"check-config", "--config", valid_config()});
  CHECK(good.exit_code == 0);
  CHECK(good.out == "ok\n");
  CHECK(good.err.empty());

  const auto path = file_with("bad.yaml", "run:\n  wrokers: 4\n  lease: 1s\narchives: {root: /a}\n").string();
  const auto bad = call({"check-config", "--config", path});
  CHECK(bad.exit_code == 78);
  CHECK_THAT(bad.out, Contains(path + ":2: unknown key 'run.wrokers'; did you mean 'run.workers'?\n"));
  CHECK_THAT(bad.out, Contains(path + ":3: run.lease: '1s' is too short"));
  CHECK_THAT(bad.out, Contains("content.roots: is missing"));
  CHECK_THAT(bad.err, Contains("3 problems in " + path));

  const auto problems = nlohmann::json::parse(call({"check-config", "--json", "--config", path}).out).at("problems");
  REQUIRE(problems.size() == 3);
  CHECK(problems.at(0).at("line") == 2);
  CHECK(problems.at(2).at("line").is_null());
}

TEST_CASE("other verbs put every problem of the configuration on stderr") {
  const auto path = file_with("bad.yaml", "run: {lease: 1s}\narchives: {root: /a}\n").string();
  const auto result = call({"run", "--config", path});
  CHECK(result.exit_code == 78);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("zipmodule: " + path + ":1: run.lease") &&
                             Contains("zipmodule: " + path + ": content.roots: is missing"));
}

TEST_CASE("the resolved configuration is shown with -v, without the password") {
  const auto result = call({"check-config", "-v", "--config", valid_config()});
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.out,
             StartsWith("ok\n") && Contains("archives.min_free: 1GiB\n") && Contains("run.max_attempts: 5\n"));
  CHECK_THAT(result.out, Contains("database.dsn: ") && !Contains("secret"));
}

TEST_CASE("an unreachable database exits 69, without the password") {
  const auto files = file_with("files.json", "[{\"source\": \"a\"}]");
  const std::vector<std::vector<std::string>> commands{{"migrate"},           {"status"},
                                                       {"explain", "a", "b"}, {"retry", "a", "b"},
                                                       {"cancel", "a", "b"},  {"publish", "a", "b", files}};
  for (auto arguments : commands) {
    INFO(arguments.front());
    arguments.insert(arguments.end(), {"--config", valid_config()});
    const auto result = call(arguments);
    CHECK(result.exit_code == 69);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("zipmodule: ") && !Contains("secret"));
  }
}

TEST_CASE("a file list that is no JSON is refused with its place before the database is asked") {
  const auto path = file_with("files.json", "[{\"source\": \"a\",}]");
  const auto from_file = call({"publish", "a", "b", path});
  CHECK(from_file.exit_code == 1);
  CHECK_THAT(from_file.err, Contains(path.string() + " is not JSON") && Contains("line 1, column 17"));
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"publish", "a", "b"}, {"publish", "a", "b", "-"}}) {
    CHECK_THAT(call(arguments, path).err, Contains("stdin is not JSON"));
  }
}

TEST_CASE("names of verbs may be names of series and archives") {
  CHECK(call({"status", "check", "retry", "--config", valid_config()}).exit_code == 69);
  CHECK(call({"explain", "run", "run", "--config", valid_config()}).exit_code == 69);
}

TEST_CASE("a full disk behind stdout exits 74") {
  const int full = ::open("/dev/full", O_WRONLY);
  const auto result = call({"--help"}, "/dev/null", full);
  ::close(full);
  CHECK(result.exit_code == 74);
  CHECK_THAT(result.err, Contains("write to stdout: No space left on device"));
}

TEST_CASE("a closed pipe behind stdout is neither a crash nor a message") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[0]);
  const auto result = call({"check-config", "--config", valid_config()}, "/dev/null", ends[1]);
  ::close(ends[1]);
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
}
