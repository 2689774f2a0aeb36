#include "archive/builder.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>
#include <string>
#include <vector>

#include "archive/site.hpp"
#include "support/judges.hpp"
#include "zip/codec.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

// A folder of everything that an archive has to keep.
void make_content(const TestSite& site) {
  site.file("default/album/text.txt", test::wordy_text(100'000));
  site.file("default/album/noise.jpg", test::random_bytes(70'000));
  site.file("default/album/empty", "");
  site.file("default/album/large.bin", test::wordy_text(3 * zip::k_chunk_bytes + 5));
  site.file("default/album/\u00e9t\u00e9/\u65e5\u672c\u8a9e.txt", "unicode");
  site.file("default/album/run.sh", "#!/bin/sh\n");
  fs::permissions(site.dir / "default/album/run.sh", static_cast<fs::perms>(0755));
  site.file("default/album/private", "only mine");
  fs::permissions(site.dir / "default/album/private", static_cast<fs::perms>(0600));
  fs::create_directories(site.dir / "default/album/void/deeper");
  test::set_mtime(site.file("default/album/old.txt", "old"), 315'700'000);
  test::set_mtime(site.file("default/album/fraction.txt", "x"), 1'500'000'000, 999'999'999);
  // Folders have times too, and two sites may be made in different seconds.
  for (const auto& found : fs::recursive_directory_iterator(site.dir / "default")) {
    if (found.is_directory()) test::set_mtime(found.path(), 1'400'000'000);
  }
  test::set_mtime(site.dir / "default/album", 1'400'000'000);
}

std::string bytes_of(const TestSite& site, const FinishedBuild& build) {
  return test::read_file(site.store().absolute(build.file.build_id));
}

TEST_CASE("a build unpacks with everybody to the same names, bytes, times and modes") {
  const zip::Level level = GENERATE(zip::Level::store, zip::Level::balanced);
  TestSite site;
  make_content(site);
  const auto build = site.build(R"([{"source": "album/"}])", level);
  CHECK(build.entries == 12);
  const auto verdict = test::judge(site.store().absolute(build.file.build_id), site.dir / "default/album");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("times before 1980 and past 2038 and 2107 don't keep an archive from being read by everybody") {
  TestSite site;
  for (const std::int64_t time : std::initializer_list<std::int64_t>{-3'000'000'000, -1, 0, 315'532'799, 2'147'483'647,
                                                                     2'147'483'648, 4'354'819'200, 9'000'000'000}) {
    test::set_mtime(site.file("default/t/" + std::to_string(time), "x"), time, 50);
  }
  const auto build = site.build(R"([{"source": "t/"}])");
  const auto verdict = test::judge(site.store().absolute(build.file.build_id), site.dir / "default/t");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("the same content gives the same bytes, in another store, on another day, under another name of the root") {
  TestSite first;
  TestSite second;
  make_content(first);
  make_content(second);
  const auto a = first.build(R"([{"source": "album"}])");
  const auto b = second.build(R"([{"source": "album"}])");
  CHECK((bytes_of(first, a) == bytes_of(second, b)));
  CHECK(a.fingerprint == b.fingerprint);
  CHECK(a.file.build_id != b.file.build_id);
}

TEST_CASE("the fingerprint and count are those of the file") {
  TestSite site;
  make_content(site);
  const auto build = site.build(R"([{"source": "album"}])");
  const auto report = zip::verify_bytes(bytes_of(site, build));
  CHECK(zip::problems_of(report).empty());
  CHECK(report.entries == build.entries);
  CHECK(report.fingerprint == build.fingerprint);
}

TEST_CASE("progress and measurements tell what was built") {
  TestSite site;
  make_content(site);
  site.options.skip_missing = true;
  BuildProgress progress;
  BuildMeasurements measured;
  const auto build = site.builder().build(
      {"s/a", R"([{"source": "album"}, {"source": "gone"}])", zip::Level::fast, true}, {}, progress, measured);
  CHECK(progress.bytes_done == progress.bytes_total);
  CHECK(progress.fraction() == 1.0);
  CHECK(measured.write.bytes_in == progress.bytes_total);
  CHECK(measured.write.bytes_out == build.file.size_bytes);
  CHECK(measured.files == 10);  // nine and the list of what is missing
  CHECK(measured.missing == std::vector<std::string>{"default:gone"});
}

void check_store_is_empty(const TestSite& site) {
  CHECK(test::listing(site.dir / "store") == std::vector<std::string>{"builds/", "public/", "tmp/"});
}

TEST_CASE("a build that fails leaves nothing in the store") {
  TestSite site;
  make_content(site);
  const auto kind = [&](const char* json) { return error_of([&] { site.build(json); }).kind(); };
  CHECK(kind(R"([{"source": "album"}, {"source": "gone"}])") == ErrorKind::source_missing);
  CHECK(kind("[]") == ErrorKind::empty);
  CHECK(kind("nonsense") == ErrorKind::payload);
  CHECK(kind(R"([{"source": "video:x"}])") == ErrorKind::config);
  check_store_is_empty(site);
}

TEST_CASE("an empty archive is built where that is allowed") {
  TestSite site;
  BuildProgress progress;
  BuildMeasurements measured;
  const auto build = site.builder(true).build({"s/a", "[]", zip::Level::fast, false}, {}, progress, measured);
  CHECK(build.file.size_bytes == 22);
  CHECK(build.entries == 0);
}

TEST_CASE("a full disk leaves nothing in the store") {
  TestSite site;
  make_content(site);
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit limited = before;
  limited.rlim_cur = 100'000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const ErrorKind kind = error_of([&] { site.build(R"([{"source": "album"}])"); }).kind();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old_handler);
  CHECK(kind == ErrorKind::io);
  check_store_is_empty(site);
}

TEST_CASE("a store that keeps more free than there is builds nothing") {
  TestSite site(std::uint64_t{1} << 60U);
  make_content(site);
  CHECK(error_of([&] { site.build(R"([{"source": "album"}])"); }).kind() == ErrorKind::disk_reserve);
  check_store_is_empty(site);
}

TEST_CASE("a stop leaves nothing in the store") {
  TestSite site;
  make_content(site);
  std::stop_source stop;
  stop.request_stop();
  BuildProgress progress;
  BuildMeasurements measured;
  const Error error = error_of([&] {
    site.builder().build({"s/a", R"([{"source": "album"}])", zip::Level::fast, false}, stop.get_token(), progress,
                         measured);
  });
  CHECK(error.kind() == ErrorKind::stopped);
  check_store_is_empty(site);
}

TEST_CASE("builds at the same time share threads and memory, and don't mix their content") {
  TestSite site;
  make_content(site);
  const auto builder = site.builder();
  std::vector<std::jthread> threads;
  std::vector<std::string> fingerprints(6);
  for (std::size_t i = 0; i < fingerprints.size(); ++i) {
    threads.emplace_back([&, i] {
      BuildProgress progress;
      BuildMeasurements measured;
      const char* json = i % 2 == 0 ? R"([{"source": "album"}])" : R"([{"source": "album/"}])";
      fingerprints[i] = builder.build({"s/a", json, zip::Level::fast, false}, {}, progress, measured).fingerprint;
    });
  }
  threads.clear();
  for (std::size_t i = 2; i < fingerprints.size(); ++i) CHECK(fingerprints[i] == fingerprints[i % 2]);
  CHECK(fingerprints[0] != fingerprints[1]);
  CHECK(fingerprints[0].size() == 64);
}

}  // namespace
}  // namespace zipmodule::archive
