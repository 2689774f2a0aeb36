#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <string>

#include "archive/failing_read.hpp"
#include "archive/site.hpp"
#include "support/process.hpp"
#include "zip/codec.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

const std::string k_album = R"([{"source": "album"}])";
constexpr std::uint64_t k_files = 7;

void make_album(const TestSite& site) {
  site.file("default/album/a.txt", test::wordy_text(50'000));
  site.file("default/album/b.jpg", test::random_bytes(300'000));
  site.file("default/album/c/large.bin", test::wordy_text(2 * zip::k_chunk_bytes + 5));
  site.file("default/album/c/movie.mp4", test::random_bytes(2 * zip::k_chunk_bytes + 5));
  site.file("default/album/d/empty", "");
  site.file("default/album/d/words.txt", test::wordy_text(3'000, 5));
  site.file("default/album/e.txt", "short");
}

std::string bytes_of(const TestSite& site, const FinishedBuild& build) {
  return test::read_file(site.store().absolute(build.file.build_id));
}

// The next build has the bytes of one made from nothing; returns how many files it reused.
std::uint64_t check_next(TestSite& site, const FinishedBuild& first, const std::string& list = k_album,
                         zip::Level level = zip::Level::balanced) {
  const auto next = site.build_after(first.file, list, level);
  const std::uint64_t reused = site.measured.files_reused;
  const auto fresh = site.build(list, level);
  CHECK((bytes_of(site, next) == bytes_of(site, fresh)));
  CHECK(next.fingerprint == fresh.fingerprint);
  return reused;
}

TEST_CASE("where nothing changed, the build that is there is the result") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  const auto again = site.build_after(first.file, k_album);
  CHECK(again.file.build_id == first.file.build_id);
  CHECK(again.fingerprint == first.fingerprint);
  CHECK(again.entries == first.entries);
  CHECK(site.measured.files_reused == k_files);
  CHECK(site.measured.write.bytes_in == 0);
  CHECK(fs::is_empty(site.dir / "store/tmp"));
}

TEST_CASE("what changed, came or went is as it is now, and all else is copied") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  const auto [what, reused] = GENERATE(table<std::string, std::uint64_t>({{"content", 6},
                                                                          {"time only", 6},
                                                                          {"content, with the time set back", 6},
                                                                          {"executable", 6},
                                                                          {"new first", 7},
                                                                          {"new last", 7},
                                                                          {"gone", 6},
                                                                          {"folder renamed", 7},
                                                                          {"copied over by rename", 6},
                                                                          {"file became folder", 6}}));
  CAPTURE(what);
  if (what == "content") site.file("default/album/a.txt", test::wordy_text(50'000, 9));
  if (what == "time only") test::set_mtime(site.dir / "default/album/a.txt", 5);
  if (what == "content, with the time set back") site.file("default/album/b.jpg", test::random_bytes(300'000, 9));
  if (what == "executable") fs::permissions(site.dir / "default/album/a.txt", static_cast<fs::perms>(0755));
  if (what == "new first") site.file("default/album/0.txt", "new");
  if (what == "new last") site.file("default/album/z.txt", "new");
  if (what == "gone") fs::remove(site.dir / "default/album/c/movie.mp4");
  if (what == "folder renamed") fs::rename(site.dir / "default/album/c", site.dir / "default/album/0");
  if (what == "copied over by rename") {
    site.file("default/new", test::wordy_text(50'000, 3));
    fs::rename(site.dir / "default/new", site.dir / "default/album/a.txt");
  }
  if (what == "file became folder") {
    fs::remove(site.dir / "default/album/e.txt");
    site.file("default/album/e.txt/inside", "short");
  }
  CHECK(check_next(site, first) == reused);
}

TEST_CASE("a file listed under another name is taken over without being compressed again") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  const auto reused =
      check_next(site, first, R"([{"source": "album/c/large.bin", "name": "renamed.bin"}, {"source": "album/b.jpg"}])");
  CHECK(reused == 2);
}

TEST_CASE("nothing compressed at another level is taken over") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  CHECK(check_next(site, first, k_album, zip::Level::small) == 0);
}

TEST_CASE("many neighbours are copied in runs, whatever stands between them") {
  TestSite site;
  for (int i = 0; i < 300; ++i) {
    site.file(fmt::format("default/album/{:03}", i), test::wordy_text(static_cast<std::size_t>(i) * 400, 1));
  }
  const auto first = site.build(k_album);
  std::uint64_t changed = 0;
  for (const int i : {0, 7, 8, 120, 299}) {
    site.file(fmt::format("default/album/{:03}", i), "changed");
    ++changed;
  }
  CHECK(check_next(site, first) == 300 - changed);
}

// Damages the record or the archive; the next build must be right all the same.
TEST_CASE("a record or a build with any bit flipped or cut anywhere does no harm") {
  TestSite site;
  site.file("default/album/a.txt", test::wordy_text(700));
  site.file("default/album/b.jpg", test::random_bytes(300));
  site.file("default/album/c/empty", "");
  site.verify_reuse = VerifyReuse::always;
  const auto first = site.build(k_album);
  const std::string right = bytes_of(site, first);
  const bool record = GENERATE(true, false);
  const fs::path damaged =
      record ? site.store().record_path(first.file.build_id) : site.store().absolute(first.file.build_id);
  const std::string before = test::read_file(damaged);
  site.file("default/album/d.txt", "new");
  const std::string expected = bytes_of(site, site.build(k_album));
  // A prime step: every kind of byte and bit is met.
  for (std::size_t bit = 0; bit < before.size() * 8; bit += 31) {
    std::string flipped = before;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    test::write_file(damaged, flipped);
    const auto next = site.build_after(first.file, k_album);
    if (bytes_of(site, next) != expected) FAIL("bit " << bit);
    site.store().remove_build(next.file.build_id);
  }
  for (std::size_t length = 0; length < before.size(); length += 37) {
    test::write_file(damaged, before.substr(0, length));
    const auto next = site.build_after(first.file, k_album);
    if (bytes_of(site, next) != expected) FAIL("length " << length);
    site.store().remove_build(next.file.build_id);
  }
}

TEST_CASE("another archive, a symlink or a folder in the build's place is not copied from") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  site.file("default/other/a.txt", test::wordy_text(50'000, 8));
  const auto other = site.build(R"([{"source": "other"}])");
  const fs::path path = site.store().absolute(first.file.build_id);
  const std::string what = GENERATE("another archive", "its record", "nothing", "no record", "a FIFO for a record");
  CAPTURE(what);
  if (what == "another archive")
    fs::copy_file(site.store().absolute(other.file.build_id), path, fs::copy_options::overwrite_existing);
  if (what == "its record") {
    fs::copy_file(site.store().record_path(other.file.build_id), site.store().record_path(first.file.build_id),
                  fs::copy_options::overwrite_existing);
  }
  if (what == "nothing") fs::remove(path);
  if (what == "no record" || what == "a FIFO for a record") fs::remove(site.store().record_path(first.file.build_id));
  if (what == "a FIFO for a record") ::mkfifo(site.store().record_path(first.file.build_id).c_str(), 0644);
  CHECK(check_next(site, first) == 0);
}

TEST_CASE("a missing file's list is written anew") {
  TestSite site;
  make_album(site);
  site.options.skip_missing = true;
  const std::string list = R"([{"source": "album"}, {"source": "gone"}])";
  const auto first = site.build(list);
  CHECK(check_next(site, first, list) == k_files);
}

TEST_CASE("a build's record goes with it, and one whose build is gone is found") {
  TestSite site;
  make_album(site);
  const auto first = site.build(k_album);
  const auto second = site.build(k_album);
  const fs::path record = site.store().record_path(second.file.build_id);
  REQUIRE(fs::exists(record));
  site.store().remove_build(first.file.build_id);
  CHECK_FALSE(fs::exists(site.store().record_path(first.file.build_id)));
  fs::remove(site.store().absolute(second.file.build_id));
  std::vector<std::string> found;
  site.store().for_each_build([&](const std::string& id) { found.push_back(id); });
  CHECK(found == std::vector<std::string>{second.file.build_id});
}

TEST_CASE("with verify_reuse: always a build that is there is read before it is the result again") {
  TestSite site;
  make_album(site);
  site.verify_reuse = VerifyReuse::always;
  const auto first = site.build(k_album);
  CHECK(site.build_after(first.file, k_album).file.build_id == first.file.build_id);
  const fs::path path = site.store().absolute(first.file.build_id);
  const std::string right = test::read_file(path);
  std::string damaged = right;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  test::write_file(path, damaged);
  const auto next = site.build_after(first.file, k_album);
  CHECK(next.file.build_id != first.file.build_id);
  CHECK((bytes_of(site, next) == right));
  CHECK(site.measured.files_reused == 0);
}

TEST_CASE("a last build that can't be read is not copied from, wherever that shows") {
  TestSite site;
  make_album(site);
  site.verify_reuse = GENERATE(VerifyReuse::never, VerifyReuse::always);
  const auto first = site.build(k_album);
  site.file("default/album/0.txt", "new");
  const std::string expected = bytes_of(site, site.build(k_album));
  const std::uint64_t from = GENERATE_COPY(std::uint64_t{0}, first.file.size_bytes / 4, first.file.size_bytes - 22);
  CAPTURE(from);
  std::optional<FinishedBuild> next;
  {
    const test::FailingReads broken_disk(site.store().absolute(first.file.build_id), from);
    next = site.build_after(first.file, k_album);
  }
  CHECK((bytes_of(site, *next) == expected));
  CHECK(site.measured.files_reused == 0);
}

}  // namespace
}  // namespace zipmodule::archive
