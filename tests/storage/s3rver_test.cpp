// A bucket of s3rver, an S3 server that others made: it judges requests, documents and the way of an upload. It does not look
// at signatures of version 4, nor at If-Match, encoding-type, and digests of bodies, and has no lists of uploads: these are
// tested with our own server, which AWS's own client judges (aws_client_test.cpp).
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/archive_name.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/s3_client.hpp"
#include "storage/s3_root.hpp"
#include "storage/s3_target.hpp"
#include "support/catch.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {
namespace {

using Catch::Matchers::Contains;
using test::write_file;

const std::string k_build = "abcdef" + std::string(26, '0');
const std::string k_marker = to_text(tree::TargetMarker{std::string(32, 'a'), std::string(32, 'd')});

struct Bucket {
  Bucket() {
    options.bucket = "bucket";
    options.prefix = "some/where";
    options.endpoint = server.endpoint();
    options.region = "us-east-1";
    options.credentials_file = server.credentials();
    options.timeout = std::chrono::seconds(5);
  }
  // A target that knows its place; with its first one, the place becomes ours.
  std::unique_ptr<S3Target> target() const {
    auto target = std::make_unique<S3Target>("mirror", options);
    if (!target->read_marker({})) target->write_marker(k_marker, {});
    target->expect(k_marker);
    return target;
  }
  std::uint64_t put(const std::string& content, const std::string& build_id) const {
    write_file(folder / "local", content);
    const Fd file(::open((folder / "local").c_str(), O_RDONLY | O_CLOEXEC));
    return target()->put({file.get(), content.size()}, build_id, {});
  }
  std::unique_ptr<S3Root> root() const { return std::make_unique<S3Root>("store", options, std::uint64_t{64} << 20U); }
  std::string text_of(const std::string& path) const {
    const auto files = root();
    const auto status = files->status(path, {});
    std::string text(status.size_bytes, '\0');
    const auto file = files->open(path, status, {});
    text.resize(file->read_at(0, std::as_writable_bytes(std::span(text))));
    file->require_unchanged();
    return text;
  }

  test::TempDir folder{"s3rver"};
  test::S3rver server;
  S3Options options;
};

class Recorder final : public Visitor {
 public:
  void found(const std::string& path, const FileStatus& status) override {
    seen.push_back(path + (status.type == FileType::directory ? "/" : ""));
  }
  void problem(const std::string& path, const Error& error) override { seen.push_back(path + error.what()); }
  std::vector<std::string> seen;
};

TEST_CASE("s3rver takes what is put, and gives it back, under names of every kind") {
  const Bucket bucket;
  S3Client client(bucket.options);
  const std::vector<std::string> names{"plain", "a b/c+d", "\u00e9/\u1234", "50%",
                                       "50%25", "a&b=c",   "(x)*!$,;:@",    "~-._"};
  for (const std::string& name : names) {
    INFO(name);
    const HttpBody body{"of " + name, -1, 0, 0};
    client.put(client.key_of(name), body, digest_of(body, "x"), {}, "x", {});
    CHECK(client.head(client.key_of(name), "x", {})->size_bytes == name.size() + 3);
    CHECK(bucket.text_of(name) == "of " + name);
  }
  Recorder recorder;
  bucket.root()->walk("", {}, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"(x)*!$,;:@", "50%", "50%25", "a b/", "a b/c+d", "a&b=c", "plain",
                                                  "~-._", "\u00e9/", "\u00e9/\u1234"});
  client.remove(client.key_of("plain"), "x", {});
  CHECK_THROWS_AS(bucket.root()->status("plain", {}), Error);
}

TEST_CASE("s3rver takes archives, which are sent once, and gives the marker and them back") {
  const Bucket bucket;
  const auto target = bucket.target();
  CHECK(target->read_marker({}) == k_marker);
  CHECK(target->is_empty({}));
  CHECK_FALSE(target->has_build(k_build, {}));
  CHECK(bucket.put("content", k_build) == 7);
  CHECK(bucket.put("content", k_build) == 0);
  CHECK(bucket.text_of(build_path(k_build)) == "content");
  CHECK(target->has_build(k_build, {}));
  CHECK_FALSE(target->is_empty({}));
  target->remove(k_build, {});
  CHECK_THROWS_AS(bucket.root()->status(build_path(k_build), {}), Error);
  CHECK(target->is_empty({}));
}

TEST_CASE("s3rver takes an archive in parts, and gives parts of it") {
  const Bucket bucket;
  const std::string content = test::random_bytes(20'000'000);
  CHECK(bucket.put(content, k_build) == content.size());
  CHECK(bucket.text_of(build_path(k_build)) == content);
  const auto root = bucket.root();
  const auto file = root->open(build_path(k_build), root->status(build_path(k_build), {}), {});
  std::string part(1'000, '\0');
  CHECK(file->read_at(12'345'678, std::as_writable_bytes(std::span(part))) == 1'000);
  CHECK(part == content.substr(12'345'678, 1'000));
}

TEST_CASE("s3rver lists in pages, which are followed") {
  const Bucket bucket;
  S3Client client(bucket.options);
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) {
    expected.push_back(fmt::format("{}+ {}", i, i));
    const HttpBody body{"x", -1, 0, 0};
    client.put(client.key_of("many/" + expected.back()), body, digest_of(body, "x"), {}, "x", {});
  }
  std::vector<std::string> keys;
  for (std::string token; keys.size() < 20;) {
    const S3Page page = client.list("some/where/many/", token, 3, "x", {});
    for (const S3Listed& listed : page.objects) keys.push_back(listed.key.substr(16));
    if (!page.truncated) break;
    token = page.next;
  }
  CHECK(keys == expected);
}

TEST_CASE("s3rver has links that lead to archives, and takes them away") {
  const Bucket bucket;
  const auto target = bucket.target();
  const tree::Link first{"a b", "c", std::string(32, '1')};
  const tree::Link second{"a b", "c", std::string(32, '2')};
  const std::string text = "some/where/" + build_path(first.build_id) + "\n";
  target->point(first, {});
  CHECK(bucket.text_of("public/a b/c.zip") == text);
  CHECK_FALSE(target->unpoint(second, {}));
  CHECK(bucket.text_of("public/a b/c.zip") == text);
  CHECK(target->unpoint(first, {}));
  CHECK_THROWS_AS(bucket.root()->status("public/a b/c.zip", {}), Error);
  CHECK(target->probe({}).clock_ahead_seconds);
}

TEST_CASE("s3rver refuses another key, and another bucket") {
  Bucket bucket;
  write_file(bucket.folder / "wrong",
             "[default]\naws_access_key_id = NOBODY\naws_secret_access_key = never-to-be-seen\n");
  const auto kind = [&] {
    try {
      bucket.root()->status("x", {});
    } catch (const Error& error) {
      CHECK_THAT(error.full_text(), !Contains("never-to-be-seen"));
      return error.kind();
    }
    return ErrorKind::usage;
  };
  SECTION("key") {
    bucket.options.credentials_file = bucket.folder / "wrong";
    CHECK(kind() == ErrorKind::source_refused);
  }
  SECTION("bucket") {
    bucket.options.bucket = "nothing";
    CHECK(kind() == ErrorKind::source_refused);
  }
}

}  // namespace
}  // namespace zipmodule::storage
