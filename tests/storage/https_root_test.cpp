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
#include "support/error_of.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "support/web_server.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::write_file;

constexpr std::int64_t k_time = 1'600'000'001;

struct Web {
  explicit Web(const std::string& more = "") : server(folder.path(), more) {
    write_file(folder / "media/file", "content", k_time);
    options.ca = server.certificate();
    options.timeout = std::chrono::seconds(2);
  }
  std::unique_ptr<HttpsRoot> root() const {
    return std::make_unique<HttpsRoot>("web", server.url() + "/media", options, std::uint64_t{16} << 20U);
  }

  test::TempDir folder{"web"};
  test::WebServer server;
  HttpsOptions options;
};

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
  CHECK(listed.version == root->status("file", {}).version);
  write_file(web.folder / "media/file", "CONTENT", k_time + 5);
  std::vector<std::byte> buffer(7);
  const auto changed = error_of([&] { root->open("file", listed, {})->read_at(0, buffer); });
  REQUIRE(changed);
  CHECK(changed->kind() == ErrorKind::source_changed);
  CHECK_FALSE(listed.version == root->status("file", {}).version);
}

TEST_CASE("a file is recognised when its time is old, and without a time by its ETag only") {
  const Web web(
      "location /media/timed/ { etag off; }\n"
      "location /media/tagged/ { add_header Last-Modified ''; }\n"
      "location /media/bare/ { etag off; add_header Last-Modified ''; }\n");
  for (const char* name : {"file", "timed/file", "tagged/file", "bare/file"}) {
    write_file(web.folder / "media" / name, "content", k_time);
  }
  const auto root = web.root();
  CHECK(root->status("file", {}).settled);
  CHECK(root->status("timed/file", {}).settled);
  CHECK(root->status("tagged/file", {}).settled);
  CHECK_FALSE(root->status("bare/file", {}).settled);
  CHECK(text_of(*root, "bare/file") == "content");
  write_file(web.folder / "media/bare/large", test::random_bytes(3'000'000), k_time);
  refused(web, "bare/large", ErrorKind::source_unreadable, "neither ETag nor Last-Modified");
}

TEST_CASE("what a web server does not give is told apart") {
  const Web web(
      "location /media/forbidden { deny all; }\nlocation /media/gone { return 410; }\n"
      "location /media/busy { return 503; }\nlocation /media/teapot { return 418; }\n"
      "location /media/out { return 302 https://elsewhere.invalid/x; }\n"
      "location /media/up { return 302 /other/file; }\n"
      "location /media/moved { return 301 /media/file; }\n"
      "location /media/circle { return 302 /media/circle; }\n"
      "location /media/hidden { return 302 /media/%2e%2e/other/file; }\n"
      "location /media/plain { return 302 http://localhost/media/file; }\n");
  refused(web, "nothing", ErrorKind::source_missing, "web:nothing: the server answers 404");
  refused(web, "gone", ErrorKind::source_missing, "410");
  refused(web, "forbidden", ErrorKind::source_unreadable, "403");
  refused(web, "teapot", ErrorKind::source_unreadable, "418");
  refused(web, "busy", ErrorKind::source_unreachable, "503");
  refused(web, "out", ErrorKind::source_outside, "redirected out of its content root, to https://elsewhere.invalid (");
  refused(web, "up", ErrorKind::source_outside, "redirected out of its content root");
  refused(web, "circle", ErrorKind::source_unreadable, "redirected again and again");
  refused(web, "hidden", ErrorKind::source_outside, "redirected out of its content root");
  refused(web, "a\\b", ErrorKind::source_outside, "leads nowhere");
  refused(web, "plain", ErrorKind::source_outside, "redirected");
  CHECK(text_of(*web.root(), "moved") == "content");
  // More than one try, and an end to them.
  std::size_t tries = 0;
  const std::string log = web.server.log();
  for (std::size_t at = 0; (at = log.find("/media/busy", at)) != std::string::npos; ++at) ++tries;
  CHECK(tries >= 2);
  CHECK(tries < 12);
}

TEST_CASE("redirects lead below the root's own URL or where the root allows, and each of a chain is judged") {
  Web web(
      "location /media/once { return 302 /cdn/file; }\n"
      "location /media/twice { return 302 /cdn/on; }\n"
      "location /cdn/on { return 302 /internal/file; }\n"
      "location /media/beside { return 302 /cdn-other/file; }\n");
  for (const char* folder : {"cdn", "cdn-other", "internal"}) write_file(web.folder / folder / "file", folder, k_time);
  refused(web, "once", ErrorKind::source_outside, "redirected out of its content root");
  web.options.redirects = {web.server.url() + "/cdn"};
  CHECK(text_of(*web.root(), "once") == "cdn");
  refused(web, "twice", ErrorKind::source_outside, "content.roots.NAME.redirects");
  refused(web, "beside", ErrorKind::source_outside, "redirected out of its content root");
  web.options.redirects.push_back(web.server.url() + "/internal");
  CHECK(text_of(*web.root(), "twice") == "internal");
}

TEST_CASE("a server whose certificate nobody vouches for is refused") {
  Web web;
  web.options.ca.clear();
  web.options.timeout = std::chrono::seconds(30);  // all of the system's authorities are read
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

TEST_CASE("a folder of a web server is a folder, though it has a page") {
  const Web web;
  write_file(web.folder / "media/photos/index.html", "<html>", k_time);
  CHECK(web.root()->status("photos", {}).type == FileType::directory);
}

// Answers every request with the same bytes, over TLS.
class ScriptedServer {
 public:
  ScriptedServer(const Web& web, const std::string& answer)
      : process_(
            {{"python3", "-c",
              "import socket, ssl, sys\n"
              "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
              "context.load_cert_chain(sys.argv[1], sys.argv[2])\n"
              "server = socket.create_server(('127.0.0.1', 0))\n"
              "print(server.getsockname()[1], flush=True)\n"
              "while True:\n"
              "    client, _ = server.accept()\n"
              "    try:\n"
              "        with context.wrap_socket(client, server_side=True) as line:\n"
              "            line.recv(65536)\n"
              "            line.sendall(sys.argv[3].encode().replace(b'|', b'\\r\\n'))\n"
              "    except OSError:\n"
              "        pass\n",
              web.server.certificate().string(), (web.server.certificate().parent_path() / "key.pem").string(), answer},
             {},
             {},
             {}}) {
    REQUIRE(test::wait_until([&] { return process_.out().find('\n') != std::string::npos; }));
  }
  std::string url() const { return "https://localhost:" + process_.out().substr(0, process_.out().find('\n')); }

 private:
  test::Process process_;
};

TEST_CASE("answers that are not what was asked for are refused") {
  const Web web;
  const auto [answer, kind] = GENERATE(table<std::string, ErrorKind>({
      {"HTTP/1.1 206 Part|Content-Range: bytes 7-13/14|ETag: \"x\"|Content-Length: 7||content",
       ErrorKind::source_unreadable},
      {"HTTP/1.1 206 Part|Content-Range: bytes 0-5/7|ETag: \"x\"|Content-Length: 6||conten",
       ErrorKind::source_unreadable},
      {"HTTP/1.1 206 Part|ETag: \"x\"|Content-Length: 7||content", ErrorKind::source_unreadable},
      {"HTTP/1.1 206 Part|Content-Range: bytes 0-6/7|ETag: \"y\"|Content-Length: 7||content",
       ErrorKind::source_changed},
      {"HTTP/1.1 206 Part|Content-Range: bytes 0-6/7|ETag: \"x\"|Content-Encoding: gzip|Content-Length: 7||content",
       ErrorKind::source_unreadable},
      {"HTTP/1.1 206 Part|Content-Range: bytes 0-6/7|ETag: \"x\"|Content-Length: 7||con",
       ErrorKind::source_unreachable},
      {"HTTP/1.1 200 OK|ETag: \"x\"|Content-Length: 9||contents!", ErrorKind::source_changed},
      {"HTTP/1.1 503 Busy|Retry-After: 0|Content-Length: 0||", ErrorKind::source_unreachable},
      {"HTTP/1.1 503 Busy|Retry-After: 900|Content-Length: 0||", ErrorKind::source_unreachable},
      {"nonsense||", ErrorKind::source_unreadable},
  }));
  INFO(answer);
  const ScriptedServer server(web, answer);
  HttpsOptions options = web.options;
  const HttpsRoot root("web", server.url(), options, std::uint64_t{16} << 20U);
  FileStatus listed;
  listed.type = FileType::regular;
  listed.size_bytes = 7;
  // As a HEAD told it, by the ETag "x" and no time.
  const ScriptedServer told(web, "HTTP/1.1 200 OK|ETag: \"x\"|Content-Length: 7||");
  const HttpsRoot first("web", told.url(), options, std::uint64_t{16} << 20U);
  listed = first.status("file", {});
  std::vector<std::byte> buffer(7);
  const auto error = error_of([&] { root.open("file", listed, {})->read_at(0, buffer); });
  REQUIRE(error);
  CHECK(error->kind() == kind);
}

TEST_CASE("a size or a time that no file has is refused or left out") {
  const Web web;
  const ScriptedServer large(web, "HTTP/1.1 200 OK|Content-Length: 18446744073709551615||");
  CHECK(error_of([&] { HttpsRoot("web", large.url(), web.options, 1U << 20U).status("file", {}); }));
  const ScriptedServer late(web, "HTTP/1.1 200 OK|Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT|Content-Length: 7||");
  CHECK_FALSE(HttpsRoot("web", late.url(), web.options, 1U << 20U).status("file", {}).settled);
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
