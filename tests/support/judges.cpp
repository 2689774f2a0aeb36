#include "support/judges.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>

#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_scripts = ZIPMODULE_SOURCE_DIR "/tests/support/judges";
const std::string k_node_modules = ZIPMODULE_SOURCE_DIR "/build/npm/node_modules:/usr/share/nodejs";

// UTF-8 names need a UTF-8 locale; the zone is far from UTC, so that only who reads the extended timestamp is exact.
Command command(std::vector<std::string> argv, const fs::path& where = {}) {
  Command command;
  command.argv = {"sh", "-c", "umask 022; exec \"$@\"", "sh"};
  command.argv.insert(command.argv.end(), argv.begin(), argv.end());
  command.environment = {{"LC_ALL", "C.UTF-8"}, {"TZ", "TST-5:30"}, {"NODE_PATH", k_node_modules}};
  command.where = where;
  command.timeout = std::chrono::minutes(10);
  return command;
}

class Judgement {
 public:
  Judgement(const fs::path& archive, const fs::path& expected, const JudgeOptions& options)
      : archive_(fs::absolute(archive)), expected_(expected), options_(options) {}

  Verdict all() {
    unzip();
    seven_zip();
    bsdtar();
    zipinfo();
    if (options_.details) zipdetails();
    python();
    java();
    yauzl();
    return std::move(verdict_);
  }

 private:
  void complain(const std::string& judge, const std::string& text) {
    verdict_.complaints.push_back(judge + ": " + text);
  }

  bool present(const std::string& judge) {
    if (installed(judge)) return true;
    complain(judge, "is not installed (scripts/setup --tests)");
    return false;
  }

  void absent(const std::string& judge) {
    verdict_.not_installed.push_back(judge);
    static std::set<std::string> told;
    if (told.insert(judge).second) std::cerr << "judge not installed, not asked: " << judge << '\n';
  }

  // Runs it; complains unless it ends with 0.
  Result ask(const std::string& judge, const Command& what) {
    const Result result = run(what);
    if (result.exit_code != 0) complain(judge, result.text());
    return result;
  }

  void unpack(const std::string& judge, const std::function<std::vector<std::string>(const std::string&)>& argv_for,
              TreeComparison comparison) {
    if (!options_.unpack || expected_.empty()) return;
    comparison.times = comparison.times && options_.times;
    comparison.modes = comparison.modes && options_.modes;
    const TempDir out("unpacked");
    if (ask(judge, command(argv_for(out.path().string()), out.path())).exit_code != 0) return;
    for (const auto& difference : differences(expected_, out.path(), comparison)) complain(judge, difference);
  }

  void unzip() {
    if (!present("unzip")) return;
    const std::string path = archive_.string();
    const Result tested = ask("unzip -t", command({"unzip", "-tqq", path}));
    if (!tested.quiet()) complain("unzip -t", tested.text());
    unpack("unzip", [&](const std::string&) { return std::vector<std::string>{"unzip", "-qq", path}; }, {});
  }

  void seven_zip() {
    if (!present("7zz")) return;
    const std::string path = archive_.string();
    const Result tested = ask("7zz t", command({"7zz", "t", "-bd", path}));
    if (tested.out.find("Warnings") != std::string::npos) complain("7zz t", tested.text());
    unpack("7zz x",
           [&](const std::string& out) { return std::vector<std::string>{"7zz", "x", "-bd", "-y", "-o" + out, path}; },
           {});
  }

  void bsdtar() {
    if (!present("bsdtar")) return;
    const std::string path = archive_.string();
    const Result listed = ask("bsdtar -t", command({"bsdtar", "-tf", path}));
    if (!listed.err.empty()) complain("bsdtar -t", listed.text());
    unpack("bsdtar -x", [&](const std::string&) { return std::vector<std::string>{"bsdtar", "-xf", path}; }, {});
  }

  void zipinfo() {
    if (!present("zipinfo")) return;
    const Result listed = ask("zipinfo", command({"zipinfo", "-1", archive_.string()}));
    if (!listed.err.empty()) complain("zipinfo", listed.text());
    ask("zipinfo -v", command({"zipinfo", "-v", archive_.string()}));
    if (expected_.empty()) return;
    std::set<std::string> names;
    std::istringstream lines(listed.out);
    for (std::string line; std::getline(lines, line);) names.insert(line);
    const auto wanted = listing(expected_);
    for (const auto& name : wanted) {
      if (name.back() != '/' && names.count(name) == 0) complain("zipinfo", "does not list " + name);
    }
    for (const auto& name : names) {
      if (!std::binary_search(wanted.begin(), wanted.end(), name)) complain("zipinfo", "lists " + name);
    }
  }

  void zipdetails() {
    if (!present("zipdetails")) return;
    const Result listed = ask("zipdetails", command({"zipdetails", archive_.string()}));
    if (!listed.err.empty() || listed.out.find("\nWARNING") != std::string::npos) {
      complain("zipdetails", listed.err + listed.out.substr(0, 2000));
    }
  }

  // The scripts print one complaint per line, and compare with `expected` themselves.
  void script(const std::string& judge, std::vector<std::string> argv) {
    argv.push_back(archive_.string());
    argv.push_back(expected_.string());
    argv.emplace_back(options_.times ? "times" : "notimes");
    const Result result = ask(judge, command(std::move(argv)));
    if (result.exit_code == 0 && !result.quiet()) complain(judge, result.text());
  }

  void python() {
    if (present("python3")) script("python zipfile", {"python3", k_scripts + "/zipfile_judge.py"});
  }

  void java() {
    // A runtime without the compiler can't run a source file.
    static const bool there =
        installed("java") && run({"java", "--list-modules"}).out.find("jdk.compiler@") != std::string::npos;
    if (!there) return absent("java (with its compiler)");
    script("java", {"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", k_scripts + "/Judge.java"});
  }

  void yauzl() {
    static const bool there = installed("node") && run(command({"node", "-e", "require('yauzl')"})).exit_code == 0;
    if (!there) return absent("yauzl (node)");
    script("yauzl", {"node", k_scripts + "/yauzl_judge.js"});
  }

  const fs::path archive_;
  const fs::path expected_;
  const JudgeOptions options_;
  Verdict verdict_;
};

// Whether every file's time is one that all judges can tell exactly.
bool times_comparable(const fs::path& expected) {
  if (expected.empty()) return false;
  for (const auto& entry : fs::recursive_directory_iterator(expected)) {
    struct stat status {};
    if (!entry.is_regular_file() || ::stat(entry.path().c_str(), &status) != 0) continue;
    constexpr std::int64_t k_first_dos_day = 315'619'200;  // 1980-01-02: a day of slack for time zones
    if (status.st_mtim.tv_sec < k_first_dos_day || status.st_mtim.tv_sec > INT32_MAX) return false;
  }
  return true;
}

}  // namespace

std::string Verdict::text() const { return fmt::format("{}", fmt::join(complaints, "\n")); }

Verdict judge(const fs::path& archive, const fs::path& expected, const JudgeOptions& options) {
  JudgeOptions possible = options;
  possible.times = options.times && times_comparable(expected);
  return Judgement(archive, expected, possible).all();
}

}  // namespace zipmodule::test
