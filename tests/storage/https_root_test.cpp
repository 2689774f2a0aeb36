// A web server as a content root: a real nginx.
#include "storage/https_root.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "support/web_server.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::write_file;

constexpr std::int64_t k_time = 1'600'000'001;

struct Web {
  explicit Web(const std::string& more = "") : server(folder.path(), more) {
    write_file(folder / "media/file", "content", k_time);
    options.ca = server.certificate();
    options.places = {server.url() + "/media"};
    options.timeout = std::chrono::seconds(2);
  }
  std::unique_ptr<HttpsRoot> root() const {
    return std::make_unique<HttpsRoot>("web", server.url() + "/media", options, std::uint64_t{16} << 20U);
  }

  test::TempDir folder{"web"};
  test::WebServer server;
  HttpsOptions options;
};

std::optional<Error> error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

std::string text_of(const Root& root, const std::string& path) {
  const auto status = root.status(path, {});
  std::string text(status.size_bytes, '\0');
  const auto file = root.open(path, status, {});
  const std::size_t size = file->read_at(0, std::as_writable_bytes(std::span(text)));
  CHECK(size == text.size());
  file->require_unchanged();
  return text;
}

void refused(const Web& web, const std::string& path, ErrorKind kind, const std::string& text) {
  const auto error = error_of([&] { web.root()->status(path, {}); });
  REQUIRE(error);
  CHECK(error->kind() == kind);
  CHECK_THAT(error->full_text(), Contains(text));
}

TEST_CASE("files of a web server are read, whole and in parts, with names of every kind") {
  const Web web;
  const std::string large = test::random_bytes(5'000'000);
  write_file(web.folder / "media/large.jpg", large, k_time);
  write_file(web.folder / "media/empty", "", k_time);
  write_file(web.folder / "media/a b/\u00e9 50%+#?.txt", "odd", k_time);
  const auto root = web.root();
  const auto status = root->status("file", {});
  CHECK(status.type == FileType::regular);
  CHECK(status.size_bytes == 7);
  CHECK(status.mtime_ns == k_time * 1'000'000'000);
  CHECK(text_of(*root, "file") == "content");
  CHECK(text_of(*root, "empty").empty());
  CHECK(text_of(*root, "a b/\u00e9 50%+#?.txt") == "odd");
  CHECK(text_of(*root, "large.jpg") == large);
  const auto file = root->open("large.jpg", root->status("large.jpg", {}), {});
  std::string part(100'000, '\0');
  CHECK(file->read_at(3'000'000, std::as_writable_bytes(std::span(part))) == part.size());
  CHECK(part == large.substr(3'000'000, 100'000));
  CHECK(file->read_at(4'999'990, std::as_writable_bytes(std::span(part))) == 10);
  CHECK(file->read_at(5'000'000, std::as_writable_bytes(std::span(part))) == 0);
  CHECK_THAT(web.server.log(), Contains("GET /media/large.jpg 206 bytes=2097152-4194303"));
}

TEST_CASE("a file that changes on a web server is seen to") {
  const Web web;
  const auto root = web.root();
  const auto listed = root->status("file", {});
  CHECK(same_version(listed, root->status("file", {})));
  write_file(web.folder / "media/file", "CONTENT", k_time + 5);
  std::vector<std::byte> buffer(7);
  const auto changed = error_of([&] { root->open("file", listed, {})->read_at(0, buffer); });
  REQUIRE(changed);
  CHECK(changed->kind() == ErrorKind::source_changed);
  CHECK_FALSE(same_version(listed, root->status("file", {})));
}

TEST_CASE("an ETag recognises a file at once, times alone only when they are old, neither never") {
  const Web web("location /media/timed/ { etag off; }\n"
                "location /media/bare/ { etag off; add_header Last-Modified ''; }\n");
  for (const char* name : {"file", "timed/file", "bare/file"}) write_file(web.folder / "media" / name, "content", k_time);
  const auto root = web.root();
  CHECK(root->status("file", {}).ctime_ns == 0);
  CHECK(root->status("timed/file", {}).ctime_ns > k_time * 1'000'000'000);
  CHECK(root->status("bare/file", {}).ctime_ns == INT64_MAX);
  CHECK(text_of(*root, "bare/file") == "content");
}

TEST_CASE("what a web server does not give is told apart") {
  const Web web("location /media/forbidden { deny all; }\nlocation /media/gone { return 410; }\n"
                "location /media/busy { return 503; }\nlocation /media/teapot { return 418; }\n"
                "location /media/out { return 302 https://elsewhere.invalid/x; }\n"
                "location /media/up { return 302 /other/file; }\n"
                "location /media/moved { return 301 /media/file; }\n"
                "location /media/circle { return 302 /media/circle; }\n"
                "location /media/plain { return 302 http://localhost/media/file; }\n");
  refused(web, "nothing", ErrorKind::source_missing, "web:nothing: the server answers 404");
  refused(web, "gone", ErrorKind::source_missing, "410");
  refused(web, "forbidden", ErrorKind::source_unreadable, "403");
  refused(web, "teapot", ErrorKind::source_unreadable, "418");
  refused(web, "busy", ErrorKind::source_unreachable, "503");
  refused(web, "out", ErrorKind::source_outside, "redirected to where no root is");
  refused(web, "up", ErrorKind::source_outside, "redirected to where no root is");
  refused(web, "circle", ErrorKind::source_outside, "redirected");
  refused(web, "plain", ErrorKind::source_outside, "redirected");
  CHECK(text_of(*web.root(), "moved") == "content");
  // More than one try, and an end to them.
  std::size_t tries = 0;
  const std::string log = web.server.log();
  for (std::size_t at = 0; (at = log.find("/media/busy", at)) != std::string::npos; ++at) ++tries;
  CHECK(tries >= 2);
  CHECK(tries < 12);
}

TEST_CASE("a server whose certificate nobody vouches for is refused") {
  Web web;
  web.options.ca.clear();
  refused(web, "file", ErrorKind::source_refused, "certificate");
}

TEST_CASE("a server that does not send parts gives small files only") {
  const Web web("max_ranges 0;");
  write_file(web.folder / "media/large", test::random_bytes(3'000'000), k_time);
  const auto root = web.root();
  CHECK(text_of(*root, "file") == "content");
  const auto error = error_of([&] { text_of(*root, "large"); });
  REQUIRE(error);
  CHECK_THAT(error->full_text(), Contains("does not send parts"));
}

TEST_CASE("a web server that is away is unreachable within the time-out, and for a while not asked again") {
  Web web;
  web.server.stop();
  const auto root = web.root();
  const Stopwatch watch;
  const auto first = error_of([&] { root->status("file", {}); });
  REQUIRE(first);
  CHECK(first->kind() == ErrorKind::source_unreachable);
  CHECK(watch.seconds() < 10);
  web.server.start();
  CHECK(error_of([&] { root->status("file", {}); }));
  CHECK(text_of(*web.root(), "file") == "content");
}

TEST_CASE("a web server's folders can't be listed") {
  class Nobody final : public Visitor {
    void found(const std::string&, const FileStatus&) override {}
    void problem(const std::string&, const Error&) override {}
  } nobody;
  const Web web;
  const auto root = web.root();
  CHECK(root->status("", {}).type == FileType::directory);
  const auto error = error_of([&] { root->walk("x", {}, {}, nobody); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_type);
}

TEST_CASE("a stop ends the trying at once") {
  Web web("location /media/busy { return 503; add_header Retry-After 1 always; }\n");
  web.options.timeout = std::chrono::seconds(30);
  const auto root = web.root();
  std::stop_source stop;
  const Stopwatch watch;
  std::jthread stopper([&] {
    test::wait_until([&] { return web.server.log().find("/media/busy") != std::string::npos; });
    stop.request_stop();
  });
  const auto error = error_of([&] { root->status("busy", stop.get_token()); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK(watch.seconds() < 10);
}

}  // namespace
}  // namespace zipmodule::storage
