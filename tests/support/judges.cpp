#include "support/judges.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "support/paths.hpp"
#include "support/peer_readers.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

// 7-Zip's name in Debian 12, and in Debian 13.
const std::string& seven_zip_name() {
  static const std::string k_name = seven_zip_program();
  return k_name;
}

// In CI nothing may be missing.
bool all_are_wanted() {
  const char* const wanted = std::getenv("ZIPMODULE_JUDGES");
  return wanted != nullptr && std::string_view(wanted) == "all";
}

// Once per program run: which of the optional judges are asked.
void say_who_is_asked(const std::vector<std::string>& asked, const std::vector<std::string>& absent) {
  static std::once_flag said;
  std::call_once(said, [&] {
    std::cerr << fmt::format(
        "judges besides unzip, 7-Zip, bsdtar, zipinfo, zipdetails and Python: {}; not installed: {}\n",
        fmt::join(asked, ", "), absent.empty() ? "none" : fmt::format("{}", fmt::join(absent, ", ")));
  });
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
    if (!expected_.empty()) packed_.emplace(expected_);
    if (present("python3")) listed(python_peer());
    for (const auto& peer : optional_peers()) {
      if (is_asked(peer.name, installed(peer))) listed(peer);
    }
    if (is_asked("java", installed(java_peer()))) java();
    if (is_asked("unar", installed("unar"))) unar();
    say_who_is_asked(asked_, verdict_.not_installed);
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

  bool is_asked(const std::string& judge, bool there) {
    (there ? asked_ : verdict_.not_installed).push_back(judge);
    if (!there && all_are_wanted()) complain(judge, "is not installed (scripts/setup --judges)");
    return there;
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
    if (ask(judge, reader_command(argv_for(out.path().string()), out.path())).exit_code != 0) return;
    for (const auto& difference : differences(expected_, out.path(), comparison)) complain(judge, difference);
  }

  void unzip() {
    if (!present("unzip")) return;
    const std::string path = archive_.string();
    const Result tested = ask("unzip -t", reader_command({"unzip", "-tqq", path}));
    if (!tested.quiet()) complain("unzip -t", tested.text());
    unpack("unzip", [&](const std::string&) { return std::vector<std::string>{"unzip", "-qq", path}; }, {});
  }

  void seven_zip() {
    if (!present(seven_zip_name())) return;
    const std::string path = archive_.string();
    const Result tested = ask("7zz t", reader_command({seven_zip_name(), "t", "-bd", path}));
    if (tested.out.find("Warnings") != std::string::npos) complain("7zz t", tested.text());
    unpack("7zz x",
           [&](const std::string& out) {
             return std::vector<std::string>{seven_zip_name(), "x", "-bd", "-y", "-o" + out, path};
           },
           {});
  }

  void bsdtar() {
    if (!present("bsdtar")) return;
    const std::string path = archive_.string();
    const Result listed = ask("bsdtar -t", reader_command({"bsdtar", "-tf", path}));
    if (!listed.err.empty()) complain("bsdtar -t", listed.text());
    unpack("bsdtar -x", [&](const std::string&) { return std::vector<std::string>{"bsdtar", "-xf", path}; }, {});
  }

  void zipinfo() {
    if (!present("zipinfo")) return;
    const Result listed = ask("zipinfo", reader_command({"zipinfo", "-1", archive_.string()}));
    if (!listed.err.empty()) complain("zipinfo", listed.text());
    ask("zipinfo -v", reader_command({"zipinfo", "-v", archive_.string()}));
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
    const Result listed = ask("zipdetails", reader_command({"zipdetails", archive_.string()}));
    if (!listed.err.empty() || listed.out.find("\nWARNING") != std::string::npos) {
      complain("zipdetails", listed.err + listed.out.substr(0, 2000));
    }
  }

  void check(const PeerReader& peer, const Command& command) {
    const Result result = ask(peer.name, command);
    if (result.exit_code != 0) return;
    if (!result.err.empty()) complain(peer.name, result.err);
    const Packed* const packed = packed_ ? &*packed_ : nullptr;
    for (const auto& wrong : discrepancies(peer, result.out, packed, options_.times, options_.modes)) {
      verdict_.complaints.push_back(wrong);
    }
  }

  void listed(const PeerReader& peer) { check(peer, reader_command(peer, archive_)); }

  // One virtual machine for its three readers: `jar xf` unpacks into the working directory, without modes.
  void java() {
    const TempDir out("unpacked");
    const bool unpacks = options_.unpack && !expected_.empty();
    Command command = reader_command(java_peer(), archive_);
    command.where = out.path();
    if (unpacks) command.argv.emplace_back("unpack");
    const std::size_t complaints = verdict_.complaints.size();
    check(java_peer(), command);
    if (!unpacks || verdict_.complaints.size() > complaints) return;
    const TreeComparison comparison{options_.times, false};
    for (const auto& difference : differences(expected_, out.path(), comparison)) complain("jar xf", difference);
  }

  // unar gives files the even second of DOS.
  void unar() {
    unpack("unar",
           [&](const std::string& out) {
             return std::vector<std::string>{"unar", "-q", "-D", "-o", out, archive_.string()};
           },
           {false, true});
  }

  const fs::path archive_;
  const fs::path expected_;
  const JudgeOptions options_;
  std::optional<Packed> packed_;
  std::vector<std::string> asked_;
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

std::string seven_zip_program() { return installed("7zz") ? "7zz" : "7z"; }

Verdict judge(const fs::path& archive, const fs::path& expected, const JudgeOptions& options) {
  JudgeOptions possible = options;
  possible.times = options.times && times_comparable(expected);
  return Judgement(archive, expected, possible).all();
}

}  // namespace zipmodule::test
