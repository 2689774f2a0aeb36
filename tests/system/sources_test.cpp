// Sources that can't be packed: the job fails by name, and hurts nobody else.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

struct Bad {
  std::string source;
  std::string kind;
  std::function<void(const Site&)> make;
};

bool is_root() { return ::geteuid() == 0; }

// Publishes a bad and a good archive of one series, runs, and expects the bad one to fail by name and the good one to
// be there.
void expect_failure(Site& site, const Bad& bad) {
  site.set("run.max_attempts", "1");
  write_file(site.content("good.txt"), "good");
  write_file(site.content("a/beside.txt"), "beside");
  bad.make(site);
  site.publish("series", "bad", R"([{"source": "good.txt"}, {"source": ")" + bad.source + R"("}])");
  site.publish("series", "good", "good.txt");
  const Result run = site.call_without_root_rights({"run"});
  INFO(run.text());
  CHECK(run.exit_code == 1);
  const Json job = site.job("series", "bad");
  INFO(job.dump());
  CHECK(job["state"] == "failed");
  CHECK(job["last_error_kind"] == bad.kind);
  const std::string text = job["last_error"].is_string() ? job["last_error"].get<std::string>() : "";
  CHECK(text.find(bad.source) != std::string::npos);
  CHECK(run.err.find(bad.source) != std::string::npos);
  CHECK(run.out.empty());
  CHECK_FALSE(fs::exists(fs::symlink_status(site.link("series", "bad"))));
  CHECK(site.unfinished().empty());
  const auto telemetry = site.telemetry("series", "bad");
  REQUIRE(telemetry.size() == 1);
  CHECK(telemetry[0]["outcome"] == "failed");
  CHECK(telemetry[0]["error_kind"] == bad.kind);
  CHECK(site.state("series", "good") == "done");
  CHECK(judge(site.link("series", "good"), {}).good());
}

TEST_CASE("a source that is missing fails its job by name") {
  Site site;
  expect_failure(site, {"a/nowhere.txt", "source_missing", [](const Site&) {}});
}

TEST_CASE("a source that may not be read fails its job by name") {
  Site site;
  expect_failure(site, {"a/closed.txt", "source_unreadable", [](const Site& s) {
                          write_file(s.content("a/closed.txt"), "secret");
                          fs::permissions(s.content("a/closed.txt"), fs::perms::none);
                        }});
}

TEST_CASE("a folder that may not be listed fails its job by name") {
  Site site;
  expect_failure(site, {"a/closed", "source_unreadable", [](const Site& s) {
                          write_file(s.content("a/closed/file.txt"), "secret");
                          fs::permissions(s.content("a/closed"), fs::perms::none);
                        }});
}

TEST_CASE("a FIFO fails its job and blocks nothing") {
  Site site;
  expect_failure(site, {"a/fifo", "source_type",
                        [](const Site& s) { REQUIRE(::mkfifo(s.content("a/fifo").c_str(), 0644) == 0); }});
}

TEST_CASE("a socket fails its job") {
  Site site;
  expect_failure(site, {"a/socket", "source_type", [](const Site& s) {
                          REQUIRE(::mknod(s.content("a/socket").c_str(), S_IFSOCK | 0644, 0) == 0);
                        }});
}

TEST_CASE("a device fails its job") {
  if (!is_root()) {
    WARN("not tested: only root can make a device");
    return;
  }
  Site site;
  expect_failure(site, {"a/device", "source_type", [](const Site& s) {
                          REQUIRE(::mknod(s.content("a/device").c_str(), S_IFCHR | 0644, makedev(1, 5)) == 0);
                        }});
}

TEST_CASE("a special file somewhere below a folder is named") {
  Site site;
  site.set("run.max_attempts", "1");
  write_file(site.content("tree/deep/ok.txt"), "ok");
  REQUIRE(::mkfifo(site.content("tree/deep/pipe").c_str(), 0644) == 0);
  site.publish("series", "bad", "tree");
  CHECK(site.run().exit_code == 1);
  const Json job = site.job("series", "bad");
  INFO(job.dump());
  CHECK(job["last_error_kind"] == "source_type");
  CHECK(job["last_error"].get<std::string>().find("tree/deep/pipe") != std::string::npos);
}

TEST_CASE("a link out of the root fails its job and reads nothing") {
  for (const bool relative : {false, true}) {
    INFO((relative ? "relative" : "absolute"));
    Site site;
    expect_failure(site, {"a/escape", "source_outside", [relative](const Site& s) {
                            write_file(s.scratch("outside.txt"), "not for download");
                            fs::create_symlink(relative ? fs::path("../../outside.txt") : s.scratch("outside.txt"),
                                               s.content("a/escape"));
                          }});
  }
}

TEST_CASE("a folder reached through a link out of the root fails its job") {
  Site site;
  site.set("run.max_attempts", "1");
  write_file(site.scratch("outside/file.txt"), "not for download");
  fs::create_directory_symlink(site.scratch("outside"), site.content("door"));
  site.publish("series", "bad", "door/file.txt");
  CHECK(site.run().exit_code == 1);
  CHECK(site.job("series", "bad")["last_error_kind"] == "source_outside");
}

TEST_CASE("an unknown root is a configuration error at the first attempt") {
  Site site;
  site.publish("series", "bad", "media:film.mkv");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 1);
  const Json job = site.job("series", "bad");
  CHECK(job["state"] == "failed");
  CHECK(job["last_error_kind"] == "config");
  CHECK(job["last_error"].get<std::string>().find("media") != std::string::npos);
  CHECK(site.telemetry("series", "bad").size() == 1);
}

TEST_CASE("on_missing skip builds the rest, and lists what is missing in the archive and in telemetry") {
  const Site site;
  write_file(site.content("here.txt"), "here");
  site.publish("series", "partial", R"([{"source": "here.txt"}, {"source": "gone/away.txt"}])", "on_missing => 'skip'");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(site.state("series", "partial") == "done");
  const auto telemetry = site.telemetry("series", "partial");
  REQUIRE(telemetry.size() == 1);
  CHECK(telemetry[0]["outcome"] == "done");
  CHECK(telemetry[0]["files_missing"] == 1);
  const std::string archive = site.link("series", "partial").string();
  CHECK(test::run({"unzip", "-p", archive, "here.txt"}).out == "here");
  CHECK(test::run({"unzip", "-p", archive}).out.find("gone/away.txt") != std::string::npos);
}

TEST_CASE("a missing source is tried again, later each time, until the attempts are used up") {
  Site site;
  site.set("run.max_attempts", "3");
  site.publish("series", "late", "late.txt");
  for (int attempt = 1; attempt < 3; ++attempt) {
    INFO(attempt);
    site.run();
    const Json job = site.job("series", "late");
    CHECK(job["state"] == "waiting");
    CHECK(job["attempts"] == attempt);
    CHECK(site.run().exit_code == 0);  // not due: nothing to do
    CHECK(site.telemetry("series", "late").size() == static_cast<std::size_t>(attempt));
    site.make_due();
  }
  CHECK(site.run().exit_code == 1);
  CHECK(site.state("series", "late") == "failed");
  const auto telemetry = site.telemetry("series", "late");
  REQUIRE(telemetry.size() == 3);
  CHECK(telemetry[0]["outcome"] == "retry");
  CHECK(telemetry[1]["outcome"] == "retry");
  CHECK(telemetry[2]["outcome"] == "failed");
  CHECK(site.run().quiet());

  // The operator mends it.
  write_file(site.content("late.txt"), "at last");
  CHECK(site.call({"retry", "series", "late"}).exit_code == 0);
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("series", "late") == "done");
}

TEST_CASE("a source that comes back between two attempts is packed") {
  const Site site;
  site.publish("series", "late", "late.txt");
  site.run();
  CHECK(site.state("series", "late") == "waiting");
  write_file(site.content("late.txt"), "just in time");
  site.make_due();
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("series", "late") == "done");
}

TEST_CASE("too many entries are refused with the figure and the key that sets it") {
  Site site;
  site.set("limits.max_entries", "10");
  for (int i = 0; i < 11; ++i) write_file(site.content("many/" + std::to_string(i)), "x");
  site.publish("series", "bad", "many");
  CHECK(site.run().exit_code == 1);
  const Json job = site.job("series", "bad");
  INFO(job.dump());
  CHECK(job["state"] == "failed");
  CHECK(job["last_error_kind"] == "limit");
  const auto text = job["last_error"].get<std::string>();
  CHECK(text.find("limits.max_entries") != std::string::npos);
  CHECK(text.find("10") != std::string::npos);
}

TEST_CASE("too many bytes are refused before they are read, sparse ones too") {
  Site site;
  site.set("limits.max_bytes", "1MiB");
  write_file(site.content("huge"), "");
  fs::resize_file(site.content("huge"), std::uintmax_t{1} << 40U);
  site.publish("series", "bad", "huge");
  CHECK(site.run().exit_code == 1);
  const Json job = site.job("series", "bad");
  INFO(job.dump());
  CHECK(job["last_error_kind"] == "limit");
  CHECK(job["last_error"].get<std::string>().find("limits.max_bytes") != std::string::npos);
}

TEST_CASE("two sources with one name both stand in the archive") {
  const Site site;
  write_file(site.content("a/cover.jpg"), "first");
  write_file(site.content("b/cover.jpg"), "second");
  site.publish("series", "double", R"([{"source": "a/cover.jpg"}, {"source": "b/cover.jpg"}])");
  CHECK(site.run().exit_code == 0);
  const std::string archive = site.link("series", "double").string();
  CHECK(run({"unzip", "-p", archive, "cover.jpg"}).out == "first");
  CHECK(run({"unzip", "-p", archive, "cover (1).jpg"}).out == "second");
}

TEST_CASE("a store inside a content root is refused before anything is published into itself") {
  Site site;
  site.set("content.roots", "{default: \"" + site.scratch("").string() + "\"}");
  write_file(site.content("x"), "x");
  site.publish("series", "loop", "content/x");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 78);
  CHECK(run.err.find("archives.root") != std::string::npos);
}

TEST_CASE("a link into the store is no source") {
  Site site;
  site.set("run.max_attempts", "1");
  fs::create_directory_symlink(site.store(), site.content("door"));
  site.publish("series", "loop", "door");
  CHECK(site.run().exit_code == 1);
  CHECK(site.job("series", "loop")["last_error_kind"] == "source_outside");
}

}  // namespace
}  // namespace zipmodule::test
