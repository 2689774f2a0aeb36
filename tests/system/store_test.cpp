// The archive store in trouble: full, read-only, damaged by hand. No publish is lost and no attempt is burnt.
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

bool waits(const Json& job) { return job["state"] == "pending" || job["state"] == "waiting"; }

// A small file system of its own for the store. Must be gone before the site is.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path where) : where_(std::move(where)) {
    mounted_ = ::mount("none", where_.c_str(), "tmpfs", 0, "size=6m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const noexcept { return mounted_; }
  bool grow() const { return ::mount("none", where_.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0; }

 private:
  const fs::path where_;
  bool mounted_ = false;
};

TEST_CASE("less free space than archives.min_free keeps the job pending and burns no attempt") {
  Site site;
  site.set("archives.min_free", "900TiB");
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  for (int i = 0; i < 3; ++i) {
    const Result run = site.run();
    INFO(run.text());
    CHECK(run.err.find("min_free") != std::string::npos);
    const Json job = site.job("series", "a");
    INFO(job.dump());
    CHECK(waits(job));
    CHECK(job["attempts"] == 0);
    site.make_due();
  }
  site.set("archives.min_free", "1MiB");
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("series", "a") == "done");
}

TEST_CASE("a disk that fills up in the middle leaves no temporary file, burns no attempt and loses no publish") {
  Site site;
  const SmallDisk disk(site.store());
  if (!disk.mounted()) {
    WARN("not tested: mounting a small file system needs root");
    return;
  }
  site.set("archives.min_free", "0B");
  write_file(site.content("big.bin"), random_bytes(20'000'000));
  site.publish("series", "big", "big.bin");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code != 0);
  CHECK_FALSE(run.err.empty());
  const Json job = site.job("series", "big");
  INFO(job.dump());
  CHECK(waits(job));
  CHECK(job["attempts"] == 0);
  CHECK((job["last_error_kind"] == "disk_full" || job["last_error_kind"] == "disk_reserve"));
  CHECK(site.unfinished().empty());
  CHECK(site.builds().empty());

  REQUIRE(disk.grow());
  site.make_due();
  const Result again = site.run();
  INFO(again.text());
  CHECK(again.exit_code == 0);
  CHECK(site.state("series", "big") == "done");
  CHECK(judge(site.link("series", "big"), site.content()).good());
}

TEST_CASE("a store that can't be written ends the run with 73 and changes no job") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  fs::permissions(site.store(), static_cast<fs::perms>(0555));
  const Result run = site.call_without_root_rights({"run"});
  INFO(run.text());
  CHECK(run.exit_code == 73);
  CHECK(run.err.find(site.store().string()) != std::string::npos);
  CHECK(waits(site.job("series", "a")));
  CHECK(site.job("series", "a")["attempts"] == 0);
  fs::permissions(site.store(), fs::perms::owner_all);
  site.make_due();
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("series", "a") == "done");
}

std::string build_path(const Site& site) { return site.job("series", "a")["path"]; }

// Of the archive 'a' whose build at `path` was damaged after its first attempt.
void expect_told(const Site& site, const std::string& path, const std::string& problem) {
  const auto rows = site.telemetry("series", "a");
  INFO(Json(rows).dump(2));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["outcome"] == "done");
  CHECK(rows[1]["outcome"] == "retry");
  CHECK(rows[1]["error_kind"] == "corrupt");
  CHECK(rows[1]["revision"] == 1);
  CHECK(rows[1]["host"] == "first.test");
  CHECK(rows[1]["run_id"] == rows[2]["run_id"]);
  const std::string text = rows[1]["error"];
  CHECK(text.find(path) != std::string::npos);
  CHECK(text.find(problem) != std::string::npos);
  CHECK(rows[2]["outcome"] == "done");
  CHECK(rows[2]["revision"] == 1);
  CHECK(rows[2]["error_kind"].is_null());
}

// Builds an archive, lets `damage` have it, and expects check to notice, run to mend, and telemetry to tell `problem`.
template <class Damage>
void expect_mended(Damage damage, const std::string& problem) {
  const Site site;
  write_file(site.content("a.txt"), wordy_text(30'000), 1'600'000'000);
  write_file(site.content("b.bin"), random_bytes(30'000), 1'600'000'000);
  site.publish("series", "a", R"([{"source": "a.txt"}, {"source": "b.bin"}])");
  REQUIRE(site.run().exit_code == 0);
  REQUIRE(site.call({"check"}).exit_code == 0);
  const std::string path = build_path(site);
  damage(site, fs::canonical(site.link("series", "a")));

  const Result check = site.call({"check"});
  INFO(check.text());
  CHECK(check.exit_code != 0);
  const Result mending = site.run();
  INFO(mending.text());
  CHECK(mending.exit_code == 0);
  CHECK(site.state("series", "a") == "done");
  CHECK(judge(site.link("series", "a"), site.content()).good());
  if (!problem.empty()) {
    CHECK(mending.err.find(problem) != std::string::npos);
    expect_told(site, path, problem);
    CHECK(site.call({"explain", "series", "a"}).out.find("audit of revision 1") != std::string::npos);
  }
  const Result after = site.call({"check"});
  INFO(after.text());
  CHECK(after.exit_code == 0);
}

TEST_CASE("a build that was truncated by hand is noticed by check and built again by run") {
  expect_mended([](const Site&, const fs::path& build) { fs::resize_file(build, fs::file_size(build) - 100); },
                "bytes any more");
}

TEST_CASE("a build that was changed by hand is noticed by check and built again by run") {
  expect_mended(
      [](const Site&, const fs::path& build) {
        fs::permissions(build, fs::perms::owner_write, fs::perm_options::add);
        std::string bytes = read_file(build);
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
        write_file(build, bytes);
      },
      "is damaged");
}

TEST_CASE("a build that was deleted by hand is noticed by check and built again by run") {
  expect_mended([](const Site&, const fs::path& build) { fs::remove(build); }, "is gone");
}

TEST_CASE("a build whose entry was given a name that is no text is told, and keeps no run from its work") {
  expect_mended(
      [](const Site&, const fs::path& build) {
        std::string bytes = read_file(build);
        const auto at = bytes.rfind("a.txt");
        bytes[at] = '\xff';
        bytes[at + 1] = '\0';
        write_file(build, bytes);
      },
      "is damaged");
}

TEST_CASE("a damaged build that only a claim finds is the one row of this attempt, and the next builds it again") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  const std::string path = build_path(site);
  fs::remove(site.store(path));
  // As after a crash before the link, with an audit that has just passed by.
  site.sql("UPDATE zipmodule.job SET pending = true, linked_revision = 0");
  site.sql("UPDATE zipmodule.instance SET audit_cursor = repeat('f', 32)");
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.exit_code == 0);
  CHECK(result.err.find(path + " is gone") != std::string::npos);
  CHECK(site.state("series", "a") == "done");
  expect_told(site, path, "is gone");
  CHECK(site.sql("SELECT string_agg(attempt::text, ' ' ORDER BY id) FROM zipmodule.telemetry") == "1 2 3");
}

TEST_CASE("a damaged build whose newest publish was cancelled is failed in telemetry, and says what would build it") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  site.publish("series", "a", "a.txt");
  site.sql("SELECT zipmodule.cancel('series', 'a')");
  fs::remove(fs::canonical(site.link("series", "a")));
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.err.find("retry or a publish") != std::string::npos);
  const auto rows = site.telemetry("series", "a");
  REQUIRE(rows.size() == 2);
  CHECK(rows[1]["outcome"] == "failed");
  CHECK(rows[1]["error_kind"] == "corrupt");
  CHECK(site.state("series", "a") == "cancelled");
  CHECK(site.run().quiet());
}

TEST_CASE("a link that was removed by hand comes back") {
  expect_mended([](const Site& site, const fs::path&) { fs::remove(site.link("series", "a")); }, "");
}

TEST_CASE("a damaged previous build is never reused where all of it is verified") {
  Site site;
  site.set("zip.verify_reuse", "always");
  write_file(site.content("a.txt"), wordy_text(30'000), 1'600'000'000);
  write_file(site.content("b.bin"), random_bytes(30'000), 1'600'000'000);
  site.publish("series", "a", R"([{"source": "a.txt"}, {"source": "b.bin"}])");
  REQUIRE(site.run().exit_code == 0);
  const fs::path build = fs::canonical(site.link("series", "a"));
  fs::permissions(build, fs::perms::owner_write, fs::perm_options::add);
  const auto mtime = fs::last_write_time(build);
  std::string bytes = read_file(build);
  bytes[200] = static_cast<char>(bytes[200] ^ 0x55);
  write_file(build, bytes);
  // Even where the clock hides it.
  fs::last_write_time(build, mtime);
  site.publish("series", "a", R"([{"source": "b.bin"}, {"source": "a.txt"}])");
  site.run();
  site.make_due();
  site.run();
  CHECK(site.state("series", "a") == "done");
  const Verdict verdict = judge(site.link("series", "a"), site.content());
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("a web server may read the store whatever the umask of the run was") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  Command command = site.command({"run"});
  command.argv.insert(command.argv.begin(), {"sh", "-c", "umask 077; exec \"$@\"", "sh"});
  const Result result = run(command);
  INFO(result.text());
  REQUIRE(result.exit_code == 0);
  const fs::path build = fs::canonical(site.link("series", "a"));
  for (const fs::path& folder : {site.store("public"), site.store("public/series"), build.parent_path()}) {
    INFO(folder);
    CHECK((fs::status(folder).permissions() & fs::perms::others_exec) != fs::perms::none);
  }
  CHECK((fs::status(build).permissions() & fs::perms::others_read) != fs::perms::none);
}

TEST_CASE("a store whose disk is not mounted is refused, and costs no archive") {
  Site site;
  site.set("archives.grace", "0s");
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  fs::rename(site.store(), site.scratch("elsewhere"));
  fs::remove(site.content("a.txt"));
  const Result refused = site.run();
  INFO(refused.text());
  CHECK(refused.exit_code == 73);
  CHECK(refused.err.find(".zipmodule.store") != std::string::npos);
  fs::remove_all(site.store());
  fs::rename(site.scratch("elsewhere"), site.store());
  CHECK(site.run().quiet());
  CHECK(site.state("series", "a") == "done");
  CHECK(fs::exists(fs::canonical(site.link("series", "a"))));
}

TEST_CASE("a folder in the place of one link keeps no other archive from being built") {
  const Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  REQUIRE(site.run().exit_code == 0);
  fs::remove(site.link("series", "a"));
  fs::create_directories(site.link("series", "a") / "folder");
  site.publish("series", "b", "a.txt");
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.err.find("series/a") != std::string::npos);
  CHECK(site.state("series", "b") == "done");
}

TEST_CASE("what a killed run left in tmp is swept by the next") {
  const Site site;
  fs::create_directories(site.store("tmp"));
  fs::create_directories(site.store("builds/ab"));
  const Result first = site.run();
  REQUIRE(first.exit_code == 0);
  write_file(site.store("tmp/0123456789abcdef0123456789abcdef.zip"), "half an archive");
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  CHECK(site.run().exit_code == 0);
  CHECK(wait_until([&] {
    site.run();
    return site.unfinished().empty();
  }));
}

TEST_CASE("an archive over the limit of file sizes fails by name; the others of its run are built") {
  Site site;
  write_file(site.content("large"), random_bytes(6'000'000));
  write_file(site.content("small.txt"), "small");
  site.publish("series", "large", "large");
  site.publish("series", "small", "small.txt");
  Command command = site.command({"run"});
  command.argv.insert(command.argv.begin(), {"sh", "-c", "ulimit -f 2000; exec \"$0\" \"$@\""});
  const Result run = test::run(command);
  INFO(run.text());
  CHECK(run.exit_code == 1);
  CHECK(site.state("series", "small") == "done");
  const auto telemetry = site.telemetry("series", "large");
  REQUIRE(telemetry.size() == 1);
  CHECK(telemetry[0]["error_kind"] == "io");
  CHECK(telemetry[0]["error"].get<std::string>().find("ulimit -f") != std::string::npos);
  CHECK(site.unfinished().empty());
}

}  // namespace
}  // namespace zipmodule::test
