#include "support/judges.hpp"

#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

constexpr std::int64_t k_time = 1'600'000'001;  // odd: DOS time can't hold it exactly

// An archive as Info-ZIP's zip makes it, for judges whose verdict is then known.
void make_archive(const TempDir& dir) {
  write_file(dir / "tree/readme.txt", wordy_text(5000), k_time);
  write_file(dir / "tree/pictures/noise.jpg", random_bytes(9000), k_time);
  write_file(dir / "tree/run.sh", "#!/bin/sh\n", k_time);
  std::filesystem::permissions(dir / "tree/run.sh", static_cast<std::filesystem::perms>(0755));
  std::filesystem::create_directory(dir / "tree/empty");
  Command zip;
  zip.argv = {"zip", "-qr", "../x.zip", "."};
  zip.where = dir / "tree";
  zip.environment = {{"TZ", "UTC"}};
  REQUIRE(run(zip).exit_code == 0);
}

TEST_CASE("a good archive has no complaints") {
  const TempDir dir;
  make_archive(dir);
  const Verdict verdict = judge(dir / "x.zip", dir / "tree");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("a changed byte is found by all who check") {
  const TempDir dir;
  make_archive(dir);
  std::string bytes = read_file(dir / "x.zip");
  bytes[bytes.find("noise.jpg") + 100] ^= 1;
  write_file(dir / "x.zip", bytes);
  const Verdict verdict = judge(dir / "x.zip", dir / "tree");
  for (const auto* name : {"unzip -t", "7zz t", "python zipfile"}) {
    INFO(name);
    CHECK(verdict.text().find(name) != std::string::npos);
  }
}

TEST_CASE("other bytes, names and times than expected are found") {
  const TempDir dir;
  make_archive(dir);
  write_file(dir / "tree/readme.txt", wordy_text(5000, 2), k_time);
  CHECK(judge(dir / "x.zip", dir / "tree").text().find("unzip: other bytes: readme.txt") != std::string::npos);
  write_file(dir / "tree/readme.txt", wordy_text(5000), k_time + 1);
  CHECK(judge(dir / "x.zip", dir / "tree").text().find("7zz x: other time: readme.txt") != std::string::npos);
  std::filesystem::remove(dir / "tree/readme.txt");
  CHECK(judge(dir / "x.zip", dir / "tree").text().find("bsdtar -x: not expected: readme.txt") != std::string::npos);
}

TEST_CASE("a truncated archive is refused") {
  const TempDir dir;
  make_archive(dir);
  std::filesystem::resize_file(dir / "x.zip", std::filesystem::file_size(dir / "x.zip") - 30);
  CHECK_FALSE(judge(dir / "x.zip", {}).good());
}

}  // namespace
}  // namespace zipmodule::test
