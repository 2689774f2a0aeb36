// Content on a web server: the real binary, a real nginx.
#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/tree.hpp"
#include "support/web_server.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

constexpr std::int64_t k_time = 1'600'000'001;

struct WebSite {
  WebSite() {
    site.set("content.roots", "{default: " + site.content().string() + ", web: {url: '" + server.url() +
                                  "/media', ca: " + server.certificate().string() + ", timeout: 2s}}");
  }
  // Of all files there, one by one.
  std::string list() const {
    Json files = Json::array();
    for (const auto& path : listing(folder / "media")) {
      if (!path.ends_with('/')) files.push_back({{"source", "web:" + path}, {"destination", "media"}});
    }
    return files.dump();
  }
  std::size_t gets() const {
    const std::string log = server.log();
    std::size_t count = 0;
    for (std::size_t at = 0; (at = log.find("GET ", at)) != std::string::npos; ++at) ++count;
    return count;
  }
  void check_archive() const {
    const Verdict verdict = judge(site.link("s", "a"), folder.path());
    INFO(verdict.text());
    CHECK(verdict.good());
  }

  TempDir folder{"web"};
  WebServer server{folder.path()};
  Site site;
};

TEST_CASE("files of a web server are zipped, and a republish fetches only what changed") {
  WebSite web;
  for (int i = 0; i < 30; ++i) {
    write_file(web.folder / "media" / (std::to_string(i) + ".jpg"), random_bytes(50'000, 10U + i), k_time);
  }
  write_file(web.folder / "media/film.mp4", random_bytes(5'000'000), k_time);
  write_file(web.folder / "media/book.txt", wordy_text(5'000'000), k_time);
  write_file(web.folder / "media/empty", "", k_time);
  web.site.publish("s", "a", web.list());
  Result run = web.site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  CHECK(run.quiet());
  web.check_archive();
  const std::size_t first = web.gets();

  write_file(web.folder / "media/7.jpg", random_bytes(50'000, 7), k_time + 1);
  web.site.publish("s", "a", web.list());
  REQUIRE(web.site.run().exit_code == 0);
  web.check_archive();
  CHECK(web.site.telemetry("s", "a").back()["files_reused"] == 32);
  CHECK(web.gets() == first + 1);
}

TEST_CASE("a redirect from one root into another is followed only where the first root allows it") {
  const TempDir folder("partner");
  write_file(folder / "internal/salaries.txt", "secret", k_time);
  const WebServer server(folder.path(), "location /partner/ { return 302 /internal/salaries.txt; }");
  Site site;
  const auto configure = [&](const std::string& more) {
    const std::string ca = ", ca: " + server.certificate().string();
    site.set("content.roots", "{default: " + site.content().string() + ", partner: {url: '" + server.url() +
                                  "/partner'" + ca + more + "}, internal: {url: '" + server.url() + "/internal'" + ca +
                                  "}}");
  };
  configure("");
  site.publish("s", "a", R"([{"source": "partner:news.txt"}])");
  site.run();
  CHECK(site.job("s", "a")["last_error_kind"] == "source_outside");
  CHECK_FALSE(fs::exists(site.link("s", "a")));
  configure(", redirects: ['" + server.url() + "/internal']");
  site.publish("s", "a", R"([{"source": "partner:news.txt"}])");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(fs::exists(site.link("s", "a")));
}

TEST_CASE("a web server that is away keeps the last good build, and check tells") {
  WebSite web;
  write_file(web.folder / "media/a.jpg", random_bytes(50'000), k_time);
  web.site.publish("s", "a", web.list());
  REQUIRE(web.site.run().exit_code == 0);
  CHECK(web.site.probe("root web")["level"] == "ok");
  const auto target = fs::read_symlink(web.site.link("s", "a"));
  web.server.stop();
  web.site.publish("s", "a", web.list());
  CHECK_THAT(web.site.run().err, Contains("source web:a.jpg: "));
  CHECK(web.site.job("s", "a")["last_error_kind"] == "source_unreachable");
  CHECK(web.site.job("s", "a")["attempts"] == 0);
  CHECK(fs::read_symlink(web.site.link("s", "a")) == target);
  CHECK(web.site.probe("root web")["level"] == "problem");
}

}  // namespace
}  // namespace zipmodule::test
