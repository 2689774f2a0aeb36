// Publishing again what is mostly there already.
#include <sys/stat.h>

#include <ctime>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

// A file that was written to within two seconds before a build is read again by the next one.
bool settled(const fs::path& folder) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  for (const auto& found : fs::recursive_directory_iterator(folder)) {
    struct stat status {};
    if (::stat(found.path().c_str(), &status) != 0 || status.st_ctim.tv_sec + 3 > now.tv_sec) return false;
  }
  return true;
}

// A folder that was published and built.
class Published {
 public:
  explicit Published(const std::string& folder = "album") : folder_(folder) {
    for (int i = 0; i < 20; ++i) {
      write_file(site.content(folder + "/photo " + std::to_string(i) + ".jpg"),
                 random_bytes(20'000, static_cast<std::uint64_t>(i)), 1'600'000'000 + i);
    }
    write_file(site.content(folder + "/text.txt"), wordy_text(200'000), 1'600'000'000);
    again();
  }
  // Publishes and runs; returns the attempt's telemetry.
  Json again() {
    REQUIRE(wait_until([&] { return settled(site.content(folder_)); }));
    site.publish("bach", "album", folder_);
    const Result run = site.run();
    INFO(run.text());
    REQUIRE(run.exit_code == 0);
    CHECK(run.quiet());
    return site.telemetry("bach", "album").back();
  }
  fs::path target() const { return fs::read_symlink(site.link("bach", "album")); }
  void check_archive() const {
    const Verdict verdict = judge(site.link("bach", "album"), site.content());
    INFO(verdict.text());
    CHECK(verdict.good());
  }

  Site site;

 private:
  std::string folder_;
};

TEST_CASE("an identical publish is done at once, with the archive that is there") {
  Published album;
  const fs::path before = album.target();
  const Json attempt = album.again();
  INFO(attempt.dump());
  CHECK(attempt["outcome"] == "done");
  CHECK(attempt["revision"] == 2);
  CHECK(attempt["files"] == 21);
  CHECK(attempt["files_reused"] == 21);
  CHECK(attempt["bytes_in"] == 0);
  const Json job = album.site.job("bach", "album");
  CHECK(job["state"] == "done");
  CHECK(job["built_revision"] == 2);
  CHECK(album.target() == before);
  CHECK(album.site.builds().size() == 1);
  CHECK(album.site.unfinished().empty());
  // Nothing retires it, however often it is confirmed.
  album.site.set("archives.grace", "0s");
  album.again();
  album.site.run();
  CHECK(album.site.builds().size() == 1);
  album.check_archive();
}

TEST_CASE("after a change only what changed is read, and the archive is right") {
  Published album;
  const fs::path before = album.target();
  write_file(album.site.content("album/photo 7.jpg"), random_bytes(30'000, 99), 1'600'000'500);
  fs::rename(album.site.content("album/photo 9.jpg"), album.site.content("album/cover.jpg"));
  const Json attempt = album.again();
  INFO(attempt.dump());
  CHECK(attempt["outcome"] == "done");
  CHECK(attempt["files"] == 21);
  CHECK(attempt["files_reused"] == 19);  // a rename moves the file's ctime, so it counts as changed
  CHECK(album.target() != before);
  album.check_archive();
}

TEST_CASE("a damaged last build is told, and nothing is copied from it") {
  Published album;
  const std::string record = album.target().replace_extension(".sources").string();
  const fs::path file = album.site.store(fs::path("public/bach") / record);
  REQUIRE(fs::exists(file));
  write_file(file, "damaged");
  write_file(album.site.content("album/new.txt"), "new");
  REQUIRE(wait_until([&] { return settled(album.site.content("album")); }));
  album.site.publish("bach", "album", "album");
  const Result run = album.site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK_THAT(run.err,
             Catch::Matchers::Contains("nothing is reused") && Catch::Matchers::Contains(".sources is damaged"));
  CHECK(album.site.telemetry("bach", "album").back()["files_reused"] == 0);
  album.check_archive();
}

TEST_CASE("a build and its record are removed together") {
  Published album;
  write_file(album.site.content("album/new.txt"), "new");
  album.site.set("archives.grace", "0s");
  album.again();
  REQUIRE(wait_until([&] { return album.site.run().exit_code == 0 && album.site.builds().size() == 1; }));
  std::size_t files = 0;
  for (const auto& found : fs::recursive_directory_iterator(album.site.store("builds"))) {
    if (found.is_regular_file()) ++files;
  }
  CHECK(files == 2);
}

}  // namespace
}  // namespace zipmodule::test
