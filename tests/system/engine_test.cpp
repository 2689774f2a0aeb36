// The verbs zip and inspect: the engine alone, without a database.
#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

// The binary in a directory of its own, with names as a shell gives them.
Result zipmodule(const TempDir& dir, std::vector<std::string> arguments) {
  Command command;
  command.argv = {ZIPMODULE_BINARY_DIR "/zipmodule"};
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

}  // namespace
}  // namespace zipmodule::test
