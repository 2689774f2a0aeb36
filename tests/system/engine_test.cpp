// The verbs zip and inspect: the engine alone, without a database.
#include <sys/stat.h>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

// The binary in a directory of its own, with names as a shell gives them.
Result zipmodule(const TempDir& dir, std::vector<std::string> arguments) {
  Command command;
  command.argv = {build_path("zipmodule")};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.where = dir.path();
  return run(command);
}

void add_tree(const TempDir& dir) {
  constexpr std::int64_t k_time = 1'700'000'001;
  write_file(dir / "in/tree/big.txt", wordy_text(9'000'000), k_time);
  write_file(dir / "in/tree/noise.bin", random_bytes(3'000'000), k_time + 1);
  for (int i = 0; i < 300; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    const std::size_t size = 1 + seed * 37 % 5000;
    write_file(dir / ("in/tree/many/" + std::to_string(i) + ".txt"), wordy_text(size, seed), k_time + i);
  }
  write_file(dir / "in/tree/Grüße/日本語.txt", "UTF-8", k_time);
  write_file(dir / "in/tree/empty", "", k_time);
  write_file(dir / "in/tree/tool", "#!/bin/sh\n", k_time);
  fs::permissions(dir / "in/tree/tool", static_cast<fs::perms>(0755));
}

TEST_CASE("the same input gives the same bytes at any number of threads") {
  const TempDir dir;
  add_tree(dir);
  for (const auto* level : {"store", "fast", "balanced", "small"}) {
    std::string first;
    for (const auto* threads : {"1", "2", "7"}) {
      const std::string out = std::string("out-") + level + "-" + threads + ".zip";
      const Result made = zipmodule(dir, {"zip", out, "in/tree", "--level", level, "--threads", threads});
      INFO(made.text());
      REQUIRE(made.exit_code == 0);
      if (first.empty()) {
        first = read_file(dir / out);
      } else {
        INFO(level << " with " << threads << " threads");
        CHECK((read_file(dir / out) == first));
      }
    }
  }
}

TEST_CASE("the archive of every level pleases every judge") {
  const TempDir dir;
  add_tree(dir);
  for (const auto* level : {"store", "fast", "balanced", "small"}) {
    const std::string out = std::string(level) + ".zip";
    REQUIRE(zipmodule(dir, {"zip", out, "in/tree", "--level", level}).exit_code == 0);
    const Verdict verdict = judge(dir / out, dir / "in");
    INFO(level);
    INFO(verdict.text());
    CHECK(verdict.good());
    const Result inspected = zipmodule(dir, {"inspect", out, "--verify"});
    INFO(inspected.text());
    CHECK(inspected.exit_code == 0);
  }
}

TEST_CASE("an archive made over an old one equals one made from scratch") {
  const TempDir dir;
  add_tree(dir);
  REQUIRE(zipmodule(dir, {"zip", "old.zip", "in/tree"}).exit_code == 0);
  write_file(dir / "in/tree/many/7.txt", "changed", 1'700'009'999);
  const Result reused = zipmodule(dir, {"zip", "reused.zip", "in/tree", "--base", "old.zip"});
  INFO(reused.text());
  REQUIRE(reused.exit_code == 0);
  const Verdict verdict = judge(dir / "reused.zip", dir / "in");
  INFO(verdict.text());
  CHECK(verdict.good());
  REQUIRE(zipmodule(dir, {"zip", "fresh.zip", "in/tree"}).exit_code == 0);
  CHECK((read_file(dir / "reused.zip") == read_file(dir / "fresh.zip")));
}

TEST_CASE("--verify-reuse takes a word behind a blank, as the other options do, or stands alone") {
  const TempDir dir;
  add_tree(dir);
  REQUIRE(zipmodule(dir, {"zip", "old.zip", "in/tree"}).exit_code == 0);
  for (const auto* how : {"never", "sample", "always"}) {
    const Result result = zipmodule(dir, {"zip", "--base", "old.zip", "--verify-reuse", how, "new.zip", "in/tree"});
    INFO(result.text());
    CHECK(result.exit_code == 0);
    CHECK((read_file(dir / "new.zip") == read_file(dir / "old.zip")));
  }
  CHECK(zipmodule(dir, {"zip", "new.zip", "in/tree", "--verify-reuse=often"}).exit_code == 64);
  const std::string help = zipmodule(dir, {"zip", "--help"}).out;
  CHECK(help.find("[HOW]") != std::string::npos);
  const Result alone = zipmodule(dir, {"zip", "--base", "old.zip", "--verify-reuse", "new.zip", "in/tree"});
  INFO(alone.text());
  CHECK(alone.exit_code == 0);
}

TEST_CASE("inspect finds a changed byte and a cut end") {
  const TempDir dir;
  add_tree(dir);
  REQUIRE(zipmodule(dir, {"zip", "good.zip", "in/tree"}).exit_code == 0);
  std::string bytes = read_file(dir / "good.zip");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(dir / "changed.zip", bytes);
  write_file(dir / "cut.zip", bytes.substr(0, bytes.size() - 10));
  CHECK(zipmodule(dir, {"inspect", "changed.zip", "--verify"}).exit_code != 0);
  CHECK(zipmodule(dir, {"inspect", "cut.zip"}).exit_code != 0);
  CHECK(zipmodule(dir, {"inspect", "nowhere.zip"}).exit_code != 0);
}

using Catch::Matchers::Contains;

// An archive by Python, whose writer takes any name, comment and mode.
void write_odd_archive(const TempDir& dir) {
  Command command;
  command.argv = {"python3", "-c", R"(
import zipfile
def put(name, host, mode, data=b"x", method=0, comment=b""):
    info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
    info.create_system, info.external_attr, info.compress_type, info.comment = host, mode << 16, method, comment
    archive.writestr(info, data)
with zipfile.ZipFile("odd.zip", "w") as archive:
    put("caf#.txt", 0, 0)
    put("link", 3, 0o120777, b"target")
    put("packed", 3, 0o100600, b"text" * 99, zipfile.ZIP_BZIP2, b"packed \x81berall")
    archive.comment = b"made\x1b by hand"
data = open("odd.zip", "rb").read()
open("odd.zip", "wb").write(data.replace(b"caf#", b"caf\x82") + bytes(100))
)"};
  command.where = dir.path();
  const Result result = run(command);
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
}

TEST_CASE("inspect names methods, shows comments and links, and decodes names, without loss") {
  const TempDir dir;
  write_odd_archive(dir);
  const Result result = zipmodule(dir, {"inspect", "--json", "odd.zip"});
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
  const Json document = Json::parse(result.out);
  CHECK(document["comment"] == "made\x1b by hand");
  REQUIRE(document["problems"].size() == 1);
  CHECK(document["problems"][0]["kind"] == "unusual");
  const Json& entries = document["entries"];
  REQUIRE(entries.size() == 3);
  CHECK(entries[0]["name"] == "caf\u00e9.txt");
  CHECK(entries[0]["name_bytes"] == "636166822e747874");
  CHECK(entries[0]["name_encoding"] == "CP437");
  CHECK(entries[0]["mode"].is_null());
  CHECK(entries[1]["type"] == "symlink");
  CHECK(entries[1]["mode"] == "0777");
  CHECK(entries[2]["method"] == "bzip2");
  CHECK(entries[2]["comment"] == "packed \u00fcberall");

  const std::string listing = zipmodule(dir, {"inspect", "odd.zip"}).out;
  CHECK_THAT(listing, Contains("-----  2026-01-02T03:04:06Z") && Contains("l0777") && Contains("bzip2") &&
                          Contains("comment: packed \u00fcberall") && Contains("caf\u00e9.txt"));
  CHECK_THAT(listing, Contains("comment: made\\u{1b} by hand"));
}

TEST_CASE("inspect --verify ends with 1 for damage only, and says of each problem what kind it is") {
  const TempDir dir;
  write_odd_archive(dir);
  const Result odd = zipmodule(dir, {"inspect", "--json", "--verify", "odd.zip"});
  INFO(odd.text());
  CHECK(odd.exit_code == 0);
  const Json document = Json::parse(odd.out);
  CHECK(document["ok"] == true);
  CHECK(document["unread"] == 1);
  std::vector<std::string> kinds;
  for (const auto& problem : document["problems"]) kinds.push_back(problem["kind"]);
  CHECK(kinds == std::vector<std::string>{"unsupported", "unusual", "unusual"});
  CHECK_THAT(zipmodule(dir, {"inspect", "--verify", "odd.zip"}).out, Contains("2 of 3 entries are whole"));

  std::string bytes = read_file(dir / "odd.zip");
  bytes[bytes.find("target")] = 'T';
  write_file(dir / "odd.zip", bytes);
  const Result damaged = zipmodule(dir, {"inspect", "--json", "--verify", "odd.zip"});
  CHECK(damaged.exit_code == 1);
  CHECK(Json::parse(damaged.out)["problems"][0]["kind"] == "damaged");
}

TEST_CASE("inspect --json of very many entries takes little memory") {
  const TempDir dir;
  Command command;
  command.argv = {"python3", "-c", R"(
import struct
count = 200000
with open("many.zip", "wb") as out:
    for i in range(count):
        out.write(struct.pack("<IHHHIIIIHH", 0x04034b50, 10, 0, 0, 0x5A216354, 0, 0, 0, 8, 0) + b"%08d" % i)
    for i in range(count):
        out.write(struct.pack("<IHHHHIIIIHHHHHII", 0x02014b50, 0x033F, 10, 0, 0, 0x5A216354, 0, 0, 0, 8, 0, 0, 0, 0,
                              0o100644 << 16, i * 38) + b"%08d" % i)
    size, offset = count * 54, count * 38
    out.write(struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, size, offset))
    out.write(struct.pack("<IIQI", 0x07064b50, 0, size + offset, 1))
    out.write(struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 65535, 65535, size, 0xFFFFFFFF, 0))
)"};
  command.where = dir.path();
  REQUIRE(run(command).exit_code == 0);
  command.argv = {"python3", "-c", R"(
import resource, subprocess, sys
with open("out.json", "wb") as out:
    subprocess.run([sys.argv[1], "inspect", "--json", "many.zip"], stdout=out, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
)",
                  build_path("zipmodule")};
  const Result result = run(command);
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(std::stoul(result.out) < 64 * 1024);  // KiB; a document in memory would take 270 MiB
#endif
  CHECK(Json::parse(read_file(dir / "out.json"))["entries"].size() == 200'000);
}

TEST_CASE("an output that can't be written leaves nothing behind") {
  const TempDir dir;
  add_tree(dir);
  const Result result = zipmodule(dir, {"zip", "no/such/folder/out.zip", "in/tree"});
  INFO(result.text());
  CHECK((result.exit_code == 73 || result.exit_code == 74));
  const Result missing = zipmodule(dir, {"zip", "out.zip", "in/nowhere"});
  CHECK(missing.exit_code == 1);
  CHECK_FALSE(fs::exists(dir / "out.zip"));
  CHECK(listing(dir.path()).front() == "in/");
}

TEST_CASE("a limit of file sizes is an error that names it, and leaves nothing behind") {
  const TempDir dir;
  add_tree(dir);
  Command command;
  command.argv = {"sh", "-c", "ulimit -f 100; exec \"$0\" zip out.zip in/tree", build_path("zipmodule")};
  command.where = dir.path();
  const Result result = run(command);
  INFO(result.text());
  CHECK(result.exit_code == 74);
  CHECK_THAT(result.err, Catch::Matchers::Contains("File too large") && Catch::Matchers::Contains("ulimit -f"));
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("an output that is no file is refused as a mistake of the command line") {
  const TempDir dir;
  add_tree(dir);
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0644) == 0);
  for (const auto* output : {"fifo", "in"}) {
    const Result result = zipmodule(dir, {"zip", output, "in/tree"});
    INFO(result.text());
    CHECK(result.exit_code == 64);
  }
  CHECK(fs::is_fifo(dir / "fifo"));
}

TEST_CASE("zip leaves out what systems put into folders, and what --exclude says") {
  const TempDir dir;
  for (const char* name : {"a.txt", ".DS_Store", "sub/._b.txt", "sub/b.txt", "sub/c.tmp", "lost+found/x", "build/x"})
    write_file(dir / "in" / name, "x", 1'700'000'001);
  const auto made = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"zip", "--json", "out.zip", "in/"});
    const Result result = zipmodule(dir, options);
    INFO(result.text());
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.out);
  };
  CHECK(made({}).at("files_excluded") == 3);
  CHECK(made({}).at("entries") == 6);
  const Json more = made({"--exclude", "*.tmp", "--exclude", "/build"});
  CHECK(more.at("files_excluded") == 5);
  CHECK(more.at("entries") == 3);
  CHECK(made({"--no-exclude"}).at("entries") == 10);
  CHECK(made({"--no-exclude", "--exclude", "*.tmp"}).at("files_excluded") == 1);
  const Result listed = zipmodule(dir, {"zip", "--json", "out.zip", "in/.DS_Store"});
  CHECK(Json::parse(listed.out).at("entries") == 1);
  CHECK(zipmodule(dir, {"zip", "out.zip", "in/", "--exclude", "sub/"}).exit_code == 64);
}

TEST_CASE("zip reports names that it changed or that trouble Windows: how many, and the first") {
  const TempDir dir;
  write_file(dir / "a/x.txt", "a", 1'700'000'001);
  write_file(dir / "b/x.txt", "b", 1'700'000'001);
  const Result one = zipmodule(dir, {"zip", "out.zip", "a/", "b/"});
  INFO(one.text());
  CHECK(one.exit_code == 0);
  CHECK_THAT(one.err, Catch::Matchers::Contains("1 name is") && Catch::Matchers::Contains("'x (1).txt'"));
  write_file(dir / "b/why?", "b", 1'700'000'001);
  const Result two = zipmodule(dir, {"zip", "out.zip", "a/", "b/"});
  INFO(two.text());
  CHECK_THAT(two.err, Catch::Matchers::Contains("2 names are"));
  CHECK(two.err.find('\n') == two.err.size() - 1);
  CHECK(zipmodule(dir, {"zip", "out.zip", "a/"}).quiet());
}

}  // namespace
}  // namespace zipmodule::test
