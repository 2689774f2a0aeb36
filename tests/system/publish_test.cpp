// From a publish to an archive that other programs can read.
#include <regex>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t k_time = 1'650'000'001;  // odd: no DOS time

void add_album(const Site& site) {
  write_file(site.content("album/cover.jpg"), random_bytes(70'000), k_time);
  write_file(site.content("album/notes.txt"), wordy_text(40'000), k_time + 10);
  write_file(site.content("album/disc 1/01 Präludium.flac"), random_bytes(200'000, 2), k_time + 20);
  write_file(site.content("album/disc 1/empty"), "", k_time + 30);
  write_file(site.content("album/play.sh"), "#!/bin/sh\n", k_time + 40);
  fs::permissions(site.content("album/play.sh"), static_cast<fs::perms>(0755));
  fs::create_directories(site.content("album/extras"));
}

TEST_CASE("what was published is downloadable after one run, and other programs agree on every byte") {
  const Site site;
  add_album(site);
  CHECK(site.publish("bach", "album", "album") == 1);
  CHECK(site.state("bach", "album") == "pending");
  const Result run = site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  const Json job = site.job("bach", "album");
  INFO(job.dump());
  CHECK(job["state"] == "done");
  CHECK(job["built_revision"] == 1);
  CHECK(job["progress"] == 1);

  REQUIRE(fs::exists(site.link("bach", "album")));
  CHECK(job["bytes"] == fs::file_size(site.link("bach", "album")));
  fs::create_directories(site.scratch("expected"));
  fs::copy(site.content("album"), site.scratch("expected/album"), fs::copy_options::recursive);
  for (const auto& name : listing(site.content("album"))) {
    if (name.back() == '/') continue;
    fs::last_write_time(site.scratch("expected/album") / name, fs::last_write_time(site.content("album") / name));
  }
  const Verdict verdict = judge(site.link("bach", "album"), site.scratch("expected"));
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("a successful run prints nothing, and so does one with nothing to do") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  const Result busy = site.run();
  INFO(busy.text());
  CHECK(busy.exit_code == 0);
  CHECK(busy.quiet());
  const Result idle = site.run();
  INFO(idle.text());
  CHECK(idle.exit_code == 0);
  CHECK(idle.quiet());
}

TEST_CASE("folders, their contents, single files and new names land where the list says") {
  const Site site;
  add_album(site);
  site.publish("bach", "pick", R"([{"source": "album/disc 1"},
                                   {"source": "album/disc 1/", "destination": "music"},
                                   {"source": "album/cover.jpg"},
                                   {"source": "album/notes.txt", "destination": "docs", "name": "readme.txt"}])");
  REQUIRE(site.run().exit_code == 0);
  const fs::path expected = site.scratch("expected");
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"disc 1/01 Präludium.flac", "disc 1/01 Präludium.flac"},
                                                        {"disc 1/empty", "disc 1/empty"},
                                                        {"disc 1/01 Präludium.flac", "music/01 Präludium.flac"},
                                                        {"disc 1/empty", "music/empty"},
                                                        {"cover.jpg", "cover.jpg"},
                                                        {"notes.txt", "docs/readme.txt"}}) {
    fs::create_directories((expected / to).parent_path());
    fs::copy_file(site.content("album/" + from), expected / to);
    fs::last_write_time(expected / to, fs::last_write_time(site.content("album/" + from)));
  }
  const Verdict verdict = judge(site.link("bach", "pick"), expected);
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("the public name is a relative link to a file whose name tells nothing") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  REQUIRE(site.run().exit_code == 0);
  const fs::path link = site.link("bach", "album");
  REQUIRE(fs::is_symlink(link));
  const std::string target = fs::read_symlink(link).string();
  INFO(target);
  CHECK(std::regex_match(target, std::regex(R"(\.\./\.\./builds/[0-9a-f]{2}/[0-9a-f]{32}\.zip)")));
  CHECK(site.unfinished().empty());
  CHECK(site.builds().size() == 1);
}

TEST_CASE("a publish that is rolled back leaves nothing") {
  const Site site;
  add_album(site);
  site.sql(R"(BEGIN; SELECT * FROM zipmodule.publish('bach', 'album', '[{"source": "album"}]'); ROLLBACK;)");
  CHECK(site.state("bach", "album") == "none");
  CHECK(site.run().quiet());
}

TEST_CASE("a change is published over the old archive, which stays for those who are downloading it") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  REQUIRE(site.run().exit_code == 0);
  const fs::path first = fs::canonical(site.link("bach", "album"));
  const std::string first_bytes = read_file(first);

  write_file(site.content("album/notes.txt"), "second edition\n", k_time + 100);
  CHECK(site.publish("bach", "album", "album") == 2);
  REQUIRE(site.run().exit_code == 0);
  const auto telemetry = site.telemetry("bach", "album");
  REQUIRE(telemetry.size() == 2);
  INFO(telemetry[1].dump());
  CHECK(telemetry[1]["revision"] == 2);
  CHECK(site.job("bach", "album")["built_revision"] == 2);

  const fs::path second = fs::canonical(site.link("bach", "album"));
  CHECK(second != first);
  // Who is downloading the old one ends on the bytes he began with.
  CHECK(read_file(first) == first_bytes);
  const Verdict verdict = judge(second, {});
  INFO(verdict.text());
  CHECK(verdict.good());
  CHECK(run({"unzip", "-p", second.string(), "album/notes.txt"}).out == "second edition\n");
}

TEST_CASE("a replaced build goes when its grace is over") {
  Site site;
  add_album(site);
  site.set("archives.grace", "1s");
  site.publish("bach", "album", "album");
  REQUIRE(site.run().exit_code == 0);
  write_file(site.content("album/notes.txt"), "second edition\n");
  site.publish("bach", "album", "album");
  REQUIRE(site.run().exit_code == 0);
  CHECK(wait_until([&] { return site.run().exit_code == 0 && site.builds().size() == 1; }));
  CHECK(fs::exists(site.link("bach", "album")));
}

TEST_CASE("telemetry tells one attempt's whole story") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  REQUIRE(site.run().exit_code == 0);
  const auto rows = site.telemetry("bach", "album");
  REQUIRE(rows.size() == 1);
  const Json& row = rows[0];
  INFO(row.dump());
  CHECK(row["outcome"] == "done");
  CHECK(row["host"] == "first.test");
  CHECK(row["revision"] == 1);
  CHECK(row["attempt"] == 1);
  CHECK(row["files"].get<int>() >= 5);
  CHECK(row["files_reused"] == 0);
  CHECK(row["bytes_in"] == 70'000 + 40'000 + 200'000 + 10);
  CHECK(row["bytes_out"].get<std::uint64_t>() == fs::file_size(site.link("bach", "album")));
  CHECK(row["error_kind"].is_null());
  for (const auto* key : {"wait_seconds", "build_seconds", "total_seconds", "plan_seconds", "read_seconds",
                          "compress_seconds", "write_seconds", "sync_seconds", "commit_seconds", "cpu_seconds"}) {
    INFO(key);
    REQUIRE(row[key].is_number());
    CHECK(row[key].get<double>() >= 0);
  }
  CHECK(row["total_seconds"].get<double>() + 0.001 >= row["build_seconds"].get<double>());
  CHECK(site.sql("SELECT outcome, claimed, done, failed FROM zipmodule.run WHERE claimed > 0") == "done|1|1|0");
}

TEST_CASE("a dry run names what would be built and touches nothing") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  const std::string before = site.sql("SELECT md5(string_agg(j::text, '')) FROM zipmodule.job j");
  const Result dry = site.call({"run", "--dry-run"});
  INFO(dry.text());
  CHECK(dry.exit_code == 0);
  CHECK(dry.out.find("album/notes.txt") != std::string::npos);
  CHECK(site.sql("SELECT md5(string_agg(j::text, '')) FROM zipmodule.job j") == before);
  CHECK(site.sql("SELECT count(*) FROM zipmodule.telemetry") == "0");
  CHECK(site.sql("SELECT count(*) FROM zipmodule.run") == "0");
  CHECK(listing(site.store()).empty());
  CHECK_FALSE(fs::exists(site.lock_file()));
  const Result json = site.call({"--json", "run", "--dry-run"});
  CHECK(Json::accept(json.out));
}

TEST_CASE("a dry run shows names from a publisher or a disk so that they can't drive a terminal") {
  const Site site;
  write_file(site.content("turned\u202egnp.exe"), "a");
  write_file(site.content("bell/\x1b]0;title\x07"), "b");
  site.publish("hostile", "turned", Json::array({{{"source", "turned\u202egnp.exe"}}}).dump());
  site.publish("hostile", "bell", "bell");
  site.publish("hostile", "link", "gone");
  site.sql("UPDATE zipmodule.job SET built_revision = 1 WHERE archive = 'link'");
  const Result dry = site.call({"run", "--dry-run"});
  INFO(dry.text());
  CHECK(dry.exit_code == 0);
  CHECK(dry.out.find_first_of("\x1b\x07") == std::string::npos);
  CHECK(dry.out.find("\u202e") == std::string::npos);
  CHECK(dry.out.find("turned\\u{202e}gnp.exe") != std::string::npos);
  CHECK(dry.out.find("hostile/bell revision 1: would fail: source_name") != std::string::npos);
  CHECK(dry.out.find("hostile/link revision 1: is built; its link would be switched") != std::string::npos);
  const Json rows = Json::parse(site.call({"run", "--dry-run", "--json"}).out);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["entries"][0]["name"] == "turned\u202egnp.exe");
}

TEST_CASE("a run's messages show such names so that they can neither drive a terminal nor forge a line of the log") {
  Site site;
  site.set("log.file", "\"" + site.scratch("run.log").string() + "\"");
  write_file(site.content("bell/\x1b]0;title\x07\nzipmodule: warning: forged"), "b");
  site.publish("hostile", "bell", "bell");
  const Result result = site.run();
  INFO(result.text());
  CHECK(result.exit_code == 1);
  for (const auto& text : {result.err, read_file(site.scratch("run.log"))}) {
    INFO(text);
    CHECK(text.find("\\u{1b}") != std::string::npos);
    CHECK(text.find_first_of("\x1b\x07") == std::string::npos);
    CHECK(text.find("\nzipmodule: warning: forged") == std::string::npos);
  }
}

TEST_CASE("status tells the same to people and to programs") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  const Result text = site.call({"status", "bach"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("pending") != std::string::npos);
  const Result json = site.call({"status", "--json"});
  INFO(json.text());
  REQUIRE(json.exit_code == 0);
  const Json rows = Json::parse(json.out);
  CHECK(rows.dump().find("\"pending\"") != std::string::npos);
  CHECK(rows.dump().find("\"bach\"") != std::string::npos);
  const Result why = site.call({"explain", "bach", "album"});
  CHECK(why.exit_code == 0);
  CHECK_FALSE(why.out.empty());
}

TEST_CASE("publish from the command line does what the SQL function does") {
  const Site site;
  add_album(site);
  Command publish = site.command({"publish", "bach", "album", "-", "--option", "priority=5"});
  publish.input = R"([{"source": "album"}])";
  const Result published = run(publish);
  INFO(published.text());
  CHECK(published.exit_code == 0);
  CHECK(site.job("bach", "album")["priority"] == 5);
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("bach", "album") == "done");
}

TEST_CASE("a payload that breaks a rule is refused at once, by the element's name, and nothing is stored") {
  const Site site;
  const Result refused = site.database().psql(
      R"(SELECT * FROM zipmodule.publish('bach', 'album', '[{"source": "a"}, {"source": "../b"}]');)",
      site.database().name());
  CHECK(refused.exit_code != 0);
  CHECK(refused.err.find("22023") != std::string::npos);
  CHECK(refused.err.find("files[1].source: must not contain '..'") != std::string::npos);
  CHECK(site.sql("SELECT count(*) FROM zipmodule.job") == "0");
}

TEST_CASE("what is cancelled is not built") {
  const Site site;
  add_album(site);
  site.publish("bach", "album", "album");
  CHECK(site.call({"cancel", "bach", "album"}).exit_code == 0);
  CHECK(site.state("bach", "album") == "cancelled");
  CHECK(site.run().quiet());
  CHECK(site.builds().empty());
}

}  // namespace
}  // namespace zipmodule::test
