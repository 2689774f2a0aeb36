// A bucket as a content root: a strict server, and what goes wrong with one. What all roots promise is in root_test.cpp.
#include "storage/s3_root.hpp"

#include <fmt/format.h>

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
#include "support/listener.hpp"
#include "support/strict_s3.hpp"
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

struct Bucket {
  Bucket() {
    write_file(objects() / "media/file", "content", k_time);
    options.bucket = "bucket";
    options.prefix = "media";
    options.endpoint = server.endpoint();
    options.region = test::StrictS3::region();
    options.credentials_file = server.credentials();
    options.timeout = std::chrono::seconds(2);
  }
  fs::path objects() const { return folder / "objects"; }
  std::unique_ptr<S3Root> root() const { return std::make_unique<S3Root>("store", options, std::uint64_t{64} << 20U); }

  test::TempDir folder{"bucket"};
  test::StrictS3 server{folder / "objects"};
  S3Options options;
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

class Recorder final : public Visitor {
 public:
  void found(const std::string& path, const FileStatus& status) override {
    seen.push_back(path + (status.type == FileType::directory ? "/" : ""));
  }
  void problem(const std::string& path, const Error& error) override {
    problems.push_back(fmt::format("{} {}", path, error.code()));
  }
  std::vector<std::string> seen;
  std::vector<std::string> problems;
};

// Both the error and how long it took.
void fails(const Bucket& bucket, const std::function<void(const S3Root&)>& work, ErrorKind kind,
           const std::string& text) {
  const auto root = bucket.root();
  const Stopwatch watch;
  const auto error = error_of([&] { work(*root); });
  REQUIRE(error);
  INFO(error->full_text());
  CHECK(error->kind() == kind);
  CHECK_THAT(error->full_text(), Contains(text) && Contains("source store:"));
  CHECK_THAT(error->full_text(), !Contains("strict/secret+key") && !Contains("never-to-be-seen") &&
                                     !Contains("strict-token") && !Contains("Signature="));
  CHECK(watch.seconds() < 12);
}

void status_fails(const Bucket& bucket, ErrorKind kind, const std::string& text) {
  fails(
      bucket, [](const S3Root& root) { root.status("file", {}); }, kind, text);
}
void read_fails(const Bucket& bucket, ErrorKind kind, const std::string& text) {
  fails(
      bucket, [](const S3Root& root) { text_of(root, "file"); }, kind, text);
}
void walk_fails(const Bucket& bucket, ErrorKind kind, const std::string& text) {
  Recorder recorder;
  fails(
      bucket, [&](const S3Root& root) { root.walk("", {}, {}, recorder); }, kind, text);
}

TEST_CASE("a listing of long keys without an end is stopped by their bytes") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "ListObjectsV2", "do": "endless", "digits": 1000}])");
  Recorder recorder;
  WalkLimits limits;
  limits.max_names = 100'000;
  const auto error = error_of([&] { bucket.root()->walk("", limits, {}, recorder); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::limit);
  CHECK_THAT(error->full_text(), Contains("source store:: paths of more than 67108864 bytes"));
  CHECK(recorder.seen.size() < 70'000);
}

TEST_CASE("a prefix with blanks and letters of any language is the root's folder") {
  Bucket bucket;
  bucket.options.prefix = "Bilder \u00fcber alles/a+b & c";
  write_file(bucket.objects() / bucket.options.prefix / "folder/a b.jpg", "image", k_time);
  CHECK(text_of(*bucket.root(), "folder/a b.jpg") == "image");
  Recorder recorder;
  bucket.root()->walk("", {}, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"folder/", "folder/a b.jpg"});
  CHECK(recorder.problems.empty());
  CHECK(bucket.root()->path_of("s3://bucket/" + bucket.options.prefix + "/folder/a b.jpg") == "folder/a b.jpg");
}

TEST_CASE("objects with keys of every kind are found, listed and read") {
  const Bucket bucket;
  for (const char* name : {"a b/c+d", "\u00e9/\u1234", "50%", "50%25", "a&b=c?d#e", "quo\"te'<>", "~tilde-._",
                           "(x)*!$,;:@", "line\nbreak", "tab\tbed", "back\\slash", "A B/C"}) {
    INFO(name);
    write_file(bucket.objects() / "media/odd" / name, std::string("of ") + name, k_time);
    CHECK(text_of(*bucket.root(), std::string("odd/") + name) == std::string("of ") + name);
  }
  Recorder recorder;
  bucket.root()->walk("odd", {}, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"(x)*!$,;:@", "50%", "50%25", "A B/", "A B/C", "a b/", "a b/c+d",
                                                  "a&b=c?d#e", "back\\slash", "line\nbreak", "quo\"te'<>", "tab\tbed",
                                                  "~tilde-._", "\u00e9/", "\u00e9/\u1234"});
}

TEST_CASE("an object is what its listing says, and recognised from its first second on") {
  const Bucket bucket;
  class Keep final : public Visitor {
   public:
    void found(const std::string& path, const FileStatus& status) override {
      if (path == "file") listed = status;
    }
    void problem(const std::string&, const Error&) override {}
    FileStatus listed;
  } keep;
  const auto root = bucket.root();
  root->walk("", {}, {}, keep);
  const FileStatus status = root->status("file", {});
  CHECK(keep.listed.version == status.version);
  CHECK(status.size_bytes == 7);
  CHECK(status.mtime_ns == k_time * 1'000'000'000);
  CHECK(status.settled);
  write_file(bucket.objects() / "media/file", "CONTENT", k_time);
  CHECK_FALSE(root->status("file", {}).version == status.version);
}

TEST_CASE("without ETags it is the time that counts") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "HeadObject,GetObject", "do": "no_etag"}])");
  const auto root = bucket.root();
  CHECK(text_of(*root, "file") == "content");
  const FileStatus status = root->status("file", {});
  CHECK(status.settled);
  write_file(bucket.objects() / "media/file", "CONTENT", k_time + 1);
  std::string text(7, '\0');
  const auto error =
      error_of([&] { root->open("file", status, {})->read_at(0, std::as_writable_bytes(std::span(text))); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_changed);
}

TEST_CASE("a bucket is read over TLS, and only where its certificate is trusted") {
  Bucket bucket;
  const test::WebServer tls(bucket.folder.path(),
                            fmt::format("location / {{ proxy_pass http://127.0.0.1:{}; proxy_http_version 1.1; "
                                        "proxy_set_header Host $http_host; }}",
                                        bucket.server.port()));
  bucket.options.endpoint = tls.url();
  bucket.options.path_style = true;
  bucket.options.ca = tls.certificate();
  write_file(bucket.objects() / "media/a b+%/c", "odd", k_time);
  CHECK(text_of(*bucket.root(), "a b+%/c") == "odd");
  bucket.options.ca.clear();
  bucket.options.timeout = std::chrono::seconds(30);  // all of the system's authorities are read
  status_fails(bucket, ErrorKind::source_refused, "certificate");
}

TEST_CASE("a large object is read in pieces, and of one version only") {
  const Bucket bucket;
  const std::string large = test::random_bytes(20'000'000);
  write_file(bucket.objects() / "media/large", large, k_time);
  const auto root = bucket.root();
  CHECK(text_of(*root, "large") == large);
  CHECK_THAT(bucket.server.log(), Contains("GetObject 'media/large' 206 bytes=8388608-16777215"));
  const auto file = root->open("large", root->status("large", {}), {});
  std::string part(100, '\0');
  CHECK(file->read_at(19'999'950, std::as_writable_bytes(std::span(part))) == 50);
  CHECK(file->read_at(20'000'000, std::as_writable_bytes(std::span(part))) == 0);
  write_file(bucket.objects() / "media/large", test::random_bytes(20'000'000, 2), k_time);
  const auto error = error_of([&] { file->read_at(0, std::as_writable_bytes(std::span(part))); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_changed);
  CHECK_THAT(bucket.server.log(), Contains("GetObject 'media/large' 412"));
}

TEST_CASE("buckets are found by their host name, by path, and with session tokens") {
  Bucket bucket;
  bucket.options.profile = "session";
  CHECK(text_of(*bucket.root(), "file") == "content");
  bucket.options.endpoint = fmt::format("http://localhost:{}", bucket.server.port());
  CHECK(text_of(*bucket.root(), "file") == "content");  // bucket.localhost
  bucket.options.path_style = true;
  CHECK(text_of(*bucket.root(), "file") == "content");
}

TEST_CASE("credentials that are replaced while they are used cost no failure") {
  Bucket bucket;
  const std::string refused = R"([{"op": "HeadObject,GetObject", "times": 2, "do": "status", "status": 400,
                                   "code": "ExpiredToken"}])";
  bucket.options.credentials_file = bucket.folder / "own";
  const std::string secret = "aws_secret_access_key = strict/secret+key\n";
  write_file(bucket.folder / "own", "[default]\naws_access_key_id = STRICTKEY\n" + secret);
  const auto root = bucket.root();
  CHECK(text_of(*root, "file") == "content");
  write_file(bucket.folder / "own",
             "[default]\naws_access_key_id = STRICTSESSION\naws_session_token = strict-token\n" + secret);
  bucket.server.fail(refused);
  CHECK(text_of(*root, "file") == "content");
  bucket.server.fail(refused);  // and the same are not sent twice
  const auto error = error_of([&] { root->status("file", {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_refused);
}

TEST_CASE("a URL of the bucket is a path below the root's prefix") {
  const Bucket bucket;
  const auto root = bucket.root();
  CHECK(root->path_of("s3://bucket/media/a/b%20c") == "a/b%20c");
  CHECK(root->path_of("s3://bucket/media/a/") == "a");
  CHECK(root->path_of("s3://bucket/media") == "");
  for (const char* elsewhere :
       {"s3://bucket/mediastore/a", "s3://bucket/other", "s3://bucket", "s3://buckets/media/a", "s3://other/media/a",
        "https://bucket/media/a", "s3://bucket/media/../a", "s3://bucket/media//a", "s3://bucket/media/./a", "file"}) {
    INFO(elsewhere);
    CHECK_FALSE(root->path_of(elsewhere));
  }
}

TEST_CASE("a listing goes on over its pages") {
  Bucket bucket;
  std::vector<std::string> expected;
  for (int i = 0; i < 25; ++i) {
    expected.push_back(fmt::format("{:02}", i));
    write_file(bucket.objects() / "media/many" / expected.back(), "x", k_time);
  }
  bucket.server.fail(R"([{"op": "ListObjectsV2", "page": 7}])");
  Recorder recorder;
  bucket.root()->walk("many", {}, {}, recorder);
  CHECK(recorder.seen == expected);
  CHECK(bucket.server.requests("ListObjectsV2") == 4);
}

TEST_CASE("keys that are no paths are told of, and markers are folders") {
  Bucket bucket;
  bucket.server.fail(
      R"([{"op": "ListObjectsV2", "names": ["", "empty/", "a//b", "a//c", "../x", "b/../x", "b/./y", "..",
    "clash", "clash/x", "clash/y", "clash-z", "b/z", "/lost", "deep/", "deep/er/x"]}])");
  Recorder recorder;
  bucket.root()->walk("", {}, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"a/", "b/", "b/z", "clash", "clash-z", "deep/", "deep/er/",
                                                  "deep/er/x", "empty/", "file"});
  CHECK(recorder.problems == std::vector<std::string>{".. source_name", ".. source_name", " source_name",
                                                      "a/ source_name", "b/.. source_name", "b/. source_name",
                                                      "clash name_conflict"});
}

TEST_CASE("a listing that does not end, or is none, is an error") {
  Bucket bucket;
  const auto list = [&](const std::string& what) {
    bucket.server.fail(fmt::format(R"([{{"op": "ListObjectsV2", "page": 10, "do": "{}"}}])", what));
  };
  SECTION("one that has ever more keys") {
    list("endless");
    Recorder recorder;
    fails(
        bucket,
        [&](const S3Root& root) {
          root.walk("", {100, 1'000, 3}, {}, recorder);
        },
        ErrorKind::limit, "more than 1000 entries");
  }
  SECTION("one that repeats its token") {
    list("loop");
    walk_fails(bucket, ErrorKind::source_unreadable, "does not end");
  }
  SECTION("one that repeats its keys") {
    list("repeat");
    walk_fails(bucket, ErrorKind::source_unreadable, "not in order");
  }
  SECTION("one that trickles") {
    bucket.options.timeout = std::chrono::seconds(1);
    list("trickle");
    walk_fails(bucket, ErrorKind::source_unreachable, "source store:");
  }
  SECTION("one without any") {
    list("empty_pages");
    walk_fails(bucket, ErrorKind::source_unreadable, "does not end");
  }
  SECTION("one in disorder") {
    write_file(bucket.objects() / "media/another", "x", k_time);
    list("unsorted");
    walk_fails(bucket, ErrorKind::source_unreadable, "not in order");
  }
  SECTION("a page of gigabytes") {
    list("flood");
    walk_fails(bucket, ErrorKind::source_unreadable, "has more than 8388608 bytes");
  }
}

TEST_CASE("what may pass is tried again") {
  Bucket bucket;
  const auto [what, op] = GENERATE(table<std::string, std::string>({
      {R"("do": "status", "status": 503, "code": "SlowDown")", "GetObject"},
      {R"("do": "status", "status": 503, "code": "SlowDown")", "HeadObject"},
      {R"("do": "status", "status": 500, "code": "InternalError")", "GetObject"},
      {R"("do": "status", "status": 400, "code": "RequestTimeout")", "GetObject"},
      {R"("do": "status", "status": 429, "code": "", "retry_after": 1)", "GetObject"},
      {R"("do": "reset")", "GetObject"},
      {R"("do": "truncate")", "GetObject"},
  }));
  INFO(what << " " << op);
  bucket.options.timeout = std::chrono::seconds(10);  // a busy machine takes its time for each try
  bucket.server.fail(fmt::format(R"([{{"op": "{}", "times": 2, {}}}])", op, what));
  const Stopwatch watch;
  CHECK(text_of(*bucket.root(), "file") == "content");
  CHECK(bucket.server.requests(op) >= 3);
  if (what.find("retry_after") != std::string::npos) CHECK(watch.seconds() >= 2);  // twice what it asks for
}

TEST_CASE("a server that stays in trouble is unreachable within the time-out") {
  Bucket bucket;
  const auto [what, text] = GENERATE(table<std::string, std::string>({
      {R"("do": "status", "status": 503, "code": "SlowDown")", "503 SlowDown"},
      {R"("do": "status", "status": 500, "code": "InternalError")", "500 InternalError"},
      {R"("do": "status", "status": 503, "code": "SlowDown", "retry_after": 900)", "503 SlowDown"},
      {R"("do": "reset")", "source store:file: "},
      {R"("do": "truncate")", "source store:file: "},
      {R"("do": "stall", "seconds": 6)", "source store:file: "},
      {R"("do": "stall_body", "seconds": 6)", "source store:file: "},
  }));
  INFO(what);
  bucket.server.fail(fmt::format(R"([{{"op": "GetObject", {}}}])", what));
  read_fails(bucket, ErrorKind::source_unreachable, text);
  if (what.find("retry_after") != std::string::npos) CHECK(bucket.server.requests("GetObject") == 1);
}

TEST_CASE("nobody at the endpoint, and for a while it is not asked again") {
  Bucket bucket;
  const test::RefusingPort nobody;
  bucket.options.endpoint = nobody.url("");
  const auto root = bucket.root();
  for (int i = 0; i < 2; ++i) {
    const Stopwatch watch;
    const auto error = error_of([&] { root->status("file", {}); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::source_unreachable);
    CHECK(watch.seconds() < (i == 0 ? 6 : 1));
  }
}

TEST_CASE("what a bucket refuses is told apart, with what to do") {
  Bucket bucket;
  SECTION("another signature") {
    bucket.options.profile = "wrong";
    status_fails(bucket, ErrorKind::source_refused, "403 SignatureDoesNotMatch");
    walk_fails(bucket, ErrorKind::source_refused, "credentials");
  }
  SECTION("no credentials") {
    bucket.options.profile = "nobody";
    status_fails(bucket, ErrorKind::source_refused, "no AWS credentials");
  }
  SECTION("another bucket") {
    bucket.options.bucket = "nothing";
    status_fails(bucket, ErrorKind::source_refused, "there is no bucket nothing");
    walk_fails(bucket, ErrorKind::source_refused, "NoSuchBucket");
    CHECK(bucket.server.requests("ListObjectsV2") == 2);
  }
  SECTION("another region") {
    bucket.options.region = "elsewhere-1";
    status_fails(bucket, ErrorKind::source_refused, "configure region: strict-1");
    walk_fails(bucket, ErrorKind::source_refused, "the bucket is in region strict-1, not elsewhere-1");
  }
  SECTION("a redirect to a region") {
    bucket.server.fail(
        R"([{"op": "HeadObject,ListObjectsV2", "do": "status", "status": 301, "code": "PermanentRedirect",
                            "more": {"Region": "eu-west-9", "Endpoint": "bucket.s3.eu-west-9.amazonaws.com"}}])");
    status_fails(bucket, ErrorKind::source_refused, "configure region: eu-west-9");
    walk_fails(bucket, ErrorKind::source_refused, "configure region: eu-west-9");
  }
  SECTION("no right") {
    bucket.server.fail(R"([{"op": "HeadObject,GetObject", "do": "status", "status": 403, "code": "AccessDenied"}])");
    status_fails(bucket, ErrorKind::source_unreadable, "403 AccessDenied");
  }
  SECTION("expired") {
    bucket.server.fail(R"([{"op": "HeadObject,GetObject", "do": "status", "status": 400, "code": "ExpiredToken"}])");
    status_fails(bucket, ErrorKind::source_refused, "400 ExpiredToken");
  }
  SECTION("in an archive class") {
    bucket.server.fail(R"([{"op": "GetObject", "do": "status", "status": 403, "code": "InvalidObjectState"}])");
    read_fails(bucket, ErrorKind::source_unreadable, "restore");
  }
  SECTION("clocks that differ") {
    bucket.server.fail(
        R"([{"op": "GetObject", "do": "status", "status": 403, "code": "RequestTimeTooSkewed", "clock": 3600}])");
    read_fails(bucket, ErrorKind::source_refused, "its clock is 3600 s ahead of ours");
    CHECK(bucket.server.requests("GetObject") == 1);
  }
  SECTION("gone since it was listed") {
    bucket.server.fail(R"([{"op": "GetObject", "do": "status", "status": 404, "code": "NoSuchKey"}])");
    read_fails(bucket, ErrorKind::source_missing, "404 NoSuchKey");
  }
}

TEST_CASE("words that a server has for people drive no terminal") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "GetObject", "do": "status", "status": 418, "code": "Tea", "message": "\u202eevil"}])");
  const auto error = error_of([&] { text_of(*bucket.root(), "file"); });
  REQUIRE(error);
  CHECK_THAT(error->full_text(), Contains("418 Tea") && !Contains("\u202e"));
}

TEST_CASE("what answers, and is no S3 server, is refused") {
  Bucket bucket;
  const std::string answer =
      GENERATE(as<std::string>(), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
               "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "nonsense\r\n\r\n");
  const test::HttpListener listener(test::HttpListener::always(answer));
  bucket.options.endpoint = listener.url("");
  const auto error = error_of([&] {
    Recorder recorder;
    bucket.root()->walk("", {}, {}, recorder);
  });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::source_unreadable);
}

TEST_CASE("a stop ends waiting for a bucket at once") {
  Bucket bucket;
  bucket.options.timeout = std::chrono::seconds(30);
  bucket.server.fail(R"([{"op": "HeadObject", "do": "stall", "seconds": 20}])");
  const auto root = bucket.root();
  std::stop_source stop;
  const std::jthread stopper([&] {
    test::wait_until([&] { return !bucket.server.log().empty(); }, std::chrono::seconds(1));
    stop.request_stop();
  });
  const Stopwatch watch;
  const auto error = error_of([&] { root->status("file", stop.get_token()); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK(watch.seconds() < 8);
}

}  // namespace
}  // namespace zipmodule::storage
