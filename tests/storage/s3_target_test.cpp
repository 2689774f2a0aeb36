// A bucket that archives are delivered to: a strict server, and what goes wrong with one.
#include "storage/s3_target.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/archive_name.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/s3_client.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::read_file;
using test::write_file;

constexpr std::size_t k_mib = std::size_t{1} << 20U;
const std::string k_build = "abcdef" + std::string(26, '0');
const std::string k_path = build_path(k_build);
const std::string k_marker = to_text(tree::TargetMarker{std::string(32, 'a'), std::string(32, 'd')});
const tree::Link k_first{"a b", "c", std::string(32, '1')};
const tree::Link k_second{"a b", "c", std::string(32, '2')};

struct Bucket {
  Bucket() {
    options.bucket = "bucket";
    options.prefix = "mirror/zips";
    options.endpoint = server.endpoint();
    options.region = test::StrictS3::region();
    options.credentials_file = server.credentials();
    options.timeout = std::chrono::seconds(2);
  }
  std::unique_ptr<S3Target> target() const {
    write_file(object(tree::k_target_marker), k_marker);
    auto target = std::make_unique<S3Target>("mirror", options);
    target->expect(k_marker);
    return target;
  }
  fs::path object(const std::string& path) const { return folder / "objects" / options.prefix / path; }
  // A local file of that content, put.
  std::uint64_t put(const std::string& content, const std::stop_token& stop = {}) const {
    write_file(folder / "local", content);
    const Fd file(::open((folder / "local").c_str(), O_RDONLY | O_CLOEXEC));
    return target()->put({file.get(), content.size()}, k_build, stop);
  }

  test::TempDir folder{"target"};
  test::StrictS3 server{folder / "objects"};
  S3Options options;
};

void put_fails(const Bucket& bucket, const std::string& content, ErrorKind kind, const std::string& text) {
  const Stopwatch watch;
  const auto error = error_of([&] { bucket.put(content); });
  REQUIRE(error);
  INFO(error->full_text());
  CHECK(error->kind() == kind);
  CHECK_THAT(error->full_text(), Contains(text) && Contains("target mirror:"));
  CHECK_THAT(error->full_text(), !Contains("source") && !Contains("strict/secret+key") && !Contains("Signature="));
  CHECK(watch.seconds() < 30);
  CHECK(bucket.server.uploads().empty());
}

TEST_CASE("archives of every size arrive as they are, and are not sent again") {
  Bucket bucket;
  const auto [size, requests] = GENERATE(
      table<std::size_t, std::size_t>({{0, 0}, {5, 0}, {16 * k_mib, 0}, {16 * k_mib + 1, 3}, {40'000'000, 5}}));
  INFO(size);
  const std::string content = test::random_bytes(size);
  CHECK(bucket.put(content) == size);
  CHECK(read_file(bucket.object(k_path)) == content);
  CHECK(bucket.server.requests("UploadPart") == requests);
  CHECK(bucket.server.uploads().empty());
  CHECK(bucket.put(content) == 0);
  CHECK(bucket.server.requests("UploadPart") == requests);
  CHECK(bucket.server.requests("PutObject") == (requests == 0 ? 1 : 0));
}

TEST_CASE("a file of another size is replaced") {
  Bucket bucket;
  write_file(bucket.object(k_path), "half");
  CHECK(bucket.put("content") == 7);
  CHECK(read_file(bucket.object(k_path)) == "content");
}

TEST_CASE("where a key service encrypts, an ETag is no MD5, and not taken for one") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "PutObject", "do": "kms"}])");
  CHECK(bucket.put("content") == 7);
}

TEST_CASE("an archive without a prefix, and with names that need encoding") {
  Bucket bucket;
  bucket.options.prefix.clear();
  const auto target = bucket.target();
  write_file(bucket.folder / "local", "content");
  const Fd file(::open((bucket.folder / "local").c_str(), O_RDONLY | O_CLOEXEC));
  target->put({file.get(), 7}, k_build, {});
  target->point({"a b", "\u00e9+%", k_build}, {});
  CHECK(read_file(bucket.folder / "objects" / k_path) == "content");
  CHECK(read_file(bucket.folder / "objects/public/a b/\u00e9+%.zip") == k_path + "\n");
  CHECK(read_file(bucket.folder / "objects" / tree::k_target_marker) == k_marker);
}

TEST_CASE("what may pass is tried again, part by part") {
  Bucket bucket;
  const auto [op, what] = GENERATE(table<std::string, std::string>({
      {"PutObject", R"("do": "status", "status": 503, "code": "SlowDown")"},
      {"PutObject", R"("do": "reset")"},
      {"HeadObject", R"("do": "status", "status": 500, "code": "")"},
      {"UploadPart", R"("do": "status", "status": 500, "code": "InternalError")"},
      {"UploadPart", R"("do": "status", "status": 400, "code": "RequestTimeout")"},
      {"UploadPart", R"("do": "reset")"},
      {"CreateMultipartUpload", R"("do": "status", "status": 503, "code": "SlowDown")"},
      {"CompleteMultipartUpload", R"("do": "error200", "code": "InternalError")"},
      {"CompleteMultipartUpload", R"("do": "reset")"},
  }));
  INFO(op << " " << what);
  bucket.options.timeout = std::chrono::seconds(10);  // a busy machine takes its time for each try
  bucket.server.fail(fmt::format(R"([{{"op": "{}", "times": 2, {}}}])", op, what));
  const std::string content = test::random_bytes(op == "PutObject" ? 100'000 : 20 * k_mib);
  CHECK(bucket.put(content) == content.size());
  CHECK(read_file(bucket.object(k_path)) == content);
  CHECK(bucket.server.uploads().empty());
}

TEST_CASE("a completion whose answer is lost is found to have happened") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "times": 1, "do": "lost_answer"}])");
  const std::string content = test::random_bytes(20 * k_mib);
  CHECK(bucket.put(content) == content.size());
  CHECK(read_file(bucket.object(k_path)) == content);
}

TEST_CASE("an upload that somebody else ended is no success") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "do": "status", "status": 404, "code": "NoSuchUpload"}])");
  put_fails(bucket, test::random_bytes(20 * k_mib), ErrorKind::verify, "not there");
}

TEST_CASE("an upload that fails leaves nothing") {
  Bucket bucket;
  const std::string large = test::random_bytes(20 * k_mib);
  SECTION("a part that is refused") {
    bucket.server.fail(R"([{"op": "UploadPart", "skip": 1, "do": "status", "status": 403, "code": "AccessDenied"}])");
    put_fails(bucket, large, ErrorKind::target_unwritable, "403 AccessDenied");
  }
  SECTION("a part that never arrives") {
    bucket.server.fail(R"([{"op": "UploadPart", "skip": 1, "do": "reset"}])");
    put_fails(bucket, large, ErrorKind::target_unreachable, k_path);
  }
  SECTION("a part with another ETag") {
    bucket.server.fail(R"([{"op": "UploadPart", "skip": 1, "times": 1, "do": "wrong_etag"}])");
    put_fails(bucket, large, ErrorKind::verify, "another MD5");
  }
  SECTION("a completion that fails after its 200") {
    bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "do": "error200", "code": "InternalError"}])");
    put_fails(bucket, large, ErrorKind::target_unreachable, "InternalError");
  }
  SECTION("a completion that is refused after its 200") {
    bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "do": "error200", "code": "AccessDenied"}])");
    put_fails(bucket, large, ErrorKind::target_unwritable, "AccessDenied");
  }
  SECTION("a completion that is never answered") {
    // Time-outs are whole seconds of a speed that is an average over some.
    bucket.options.timeout = std::chrono::seconds(1);
    bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "do": "stall", "seconds": 60}])");
    put_fails(bucket, large, ErrorKind::target_unreachable, k_path);
  }
  SECTION("a stop") {
    std::stop_source stop;
    bucket.server.fail(R"([{"op": "UploadPart", "skip": 1, "do": "stall", "seconds": 20}])");
    const std::jthread stopper([&] {
      test::wait_until([&] { return bucket.server.requests("UploadPart") > 0; });
      stop.request_stop();
    });
    const Stopwatch watch;
    const auto error = error_of([&] { bucket.put(large, stop.get_token()); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::stopped);
    CHECK(watch.seconds() < 8);
    CHECK(bucket.server.uploads().empty());
  }
  CHECK_FALSE(fs::exists(bucket.object(k_path)));
}

TEST_CASE("what is stored is looked at once more") {
  Bucket bucket;
  SECTION("another ETag") {
    bucket.server.fail(R"([{"op": "PutObject", "do": "wrong_etag"}])");
    put_fails(bucket, "content", ErrorKind::verify, "another MD5");
    bucket.server.fail("[]");
    CHECK(bucket.put("content") == 7);  // not taken for what was to be there
    CHECK(bucket.server.requests("PutObject") == 2);
  }
  SECTION("another ETag of the whole that parts make") {
    const std::string content = test::random_bytes(20 * k_mib);
    bucket.server.fail(R"([{"op": "CompleteMultipartUpload", "do": "wrong_etag"}])");
    put_fails(bucket, content, ErrorKind::verify, "another object");
    bucket.server.fail("[]");
    CHECK(bucket.put(content) == content.size());
    CHECK(bucket.server.requests("UploadPart") == 6);
  }
  SECTION("a local file that is shorter than it was") {
    write_file(bucket.folder / "short", "cont");
    const Fd file(::open((bucket.folder / "short").c_str(), O_RDONLY | O_CLOEXEC));
    const auto error = error_of([&] { bucket.target()->put({file.get(), 7}, k_build, {}); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::corrupt);
    CHECK(bucket.server.requests("PutObject") == 0);
  }
  SECTION("a local file that can't be read") {
    const Fd folder(::open(bucket.folder.path().c_str(), O_RDONLY | O_CLOEXEC));
    const auto error = error_of([&] { bucket.target()->put({folder.get(), 7}, k_build, {}); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::io);
    CHECK_THAT(error->what(), Contains("target mirror") && Contains("can't be read"));
  }
  SECTION("more than an object can have") {
    const auto error = error_of([&] { bucket.target()->put({-1, (std::uint64_t{5} << 40U) + 1}, k_build, {}); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::target_unwritable);
    CHECK_THAT(error->what(), Contains(k_path) && Contains("5 TiB"));
    CHECK(bucket.server.requests("GetObject") == 1);  // its marker
    for (const char* request : {"HeadObject", "PutObject", "CreateMultipartUpload"}) {
      CHECK(bucket.server.requests(request) == 0);
    }
  }
}

TEST_CASE("a clock is named as ahead or behind, never by a negative number") {
  CHECK(clock_text(600.4) == "its clock is 600 s ahead of ours");
  CHECK(clock_text(-600.4) == "its clock is 600 s behind ours");
  CHECK(clock_text(-0.3) == "its clock agrees with ours");
}

TEST_CASE("what a bucket refuses is told of the target") {
  Bucket bucket;
  SECTION("credentials") {
    bucket.options.profile = "wrong";
    put_fails(bucket, "content", ErrorKind::target_refused, "SignatureDoesNotMatch");
  }
  SECTION("the bucket") {
    bucket.options.bucket = "nothing";
    put_fails(bucket, "content", ErrorKind::target_refused, "there is no bucket nothing");
    CHECK(bucket.server.requests("GetObject") == 1);  // its marker
    CHECK(bucket.server.requests("PutObject") == 0);
  }
  SECTION("the region") {
    bucket.options.region = "elsewhere-1";
    put_fails(bucket, "content", ErrorKind::target_refused, "configure region: strict-1");
  }
  SECTION("space, as MinIO says it") {
    bucket.server.fail(R"([{"op": "PutObject", "do": "status", "status": 507, "code": "XMinioStorageFull"}])");
    put_fails(bucket, "content", ErrorKind::target_unwritable, "XMinioStorageFull");
    CHECK(bucket.server.requests("PutObject") == 1);
  }
  SECTION("space, as Ceph says it, in the middle") {
    bucket.server.fail(R"([{"op": "UploadPart", "skip": 1, "do": "status", "status": 403, "code": "QuotaExceeded"}])");
    put_fails(bucket, test::random_bytes(20 * k_mib), ErrorKind::target_unwritable, "QuotaExceeded");
  }
  SECTION("writing") {
    bucket.options.profile = "reader";
    put_fails(bucket, "content", ErrorKind::target_unwritable, "403 AccessDenied");
    put_fails(bucket, test::random_bytes(17 * k_mib), ErrorKind::target_unwritable, "403 AccessDenied");
  }
  SECTION("the clock") {
    bucket.server.fail(
        R"([{"op": "PutObject", "do": "status", "status": 403, "code": "RequestTimeTooSkewed", "clock": -7200}])");
    put_fails(bucket, "content", ErrorKind::target_refused, "its clock is 7200 s behind ours");
  }
}

// Begins an upload and leaves it, as a host that loses its power does.
std::string half_done(const Bucket& bucket, const std::string& path) {
  S3Client client(bucket.options);
  const std::string key = client.key_of(path);
  const std::string id = client.create_upload(key, {}, "x", {});
  const HttpBody body{test::random_bytes(5 * k_mib), -1, 0, 0};
  client.put_part(key, id, 1, body, digest_of(body, "x"), "x", {});
  return id;
}

TEST_CASE("what a killed upload left is ended by the next one, and by a removal, and nothing else is") {
  Bucket bucket;
  half_done(bucket, k_path);
  half_done(bucket, k_path);
  half_done(bucket, k_path + "2");
  const std::string other = half_done(bucket, k_path + "2");
  bucket.server.fail(R"([{"op": "ListMultipartUploads", "page": 1}])");
  SECTION("by a put") {
    const std::string content = test::random_bytes(20 * k_mib);
    CHECK(bucket.put(content) == content.size());
  }
  SECTION("by a removal") { bucket.target()->remove(k_build, {}); }
  const std::string left = bucket.server.uploads();
  CHECK_THAT(left, Contains(other) && !Contains(k_path + "\n"));
}

TEST_CASE("a server that can't list uploads is written to all the same") {
  Bucket bucket;
  const std::string answer = GENERATE(as<std::string>(), R"("status": 501, "code": "NotImplemented")",
                                      R"("status": 403, "code": "AccessDenied")");
  bucket.server.fail(R"([{"op": "ListMultipartUploads", "do": "status", )" + answer + "}]");
  CHECK(bucket.put(test::random_bytes(17 * k_mib)) == 17 * k_mib);
  bucket.target()->remove(k_build, {});
  CHECK_FALSE(fs::exists(bucket.object(k_path)));
}

TEST_CASE("a link is the archive's key, sends browsers on, and can be changed and taken away") {
  Bucket bucket;
  const auto target = bucket.target();
  const std::string link = "public/a b/c.zip";
  const auto text = [&] { return read_file(bucket.object(link)); };
  target->point(k_first, {});
  CHECK(text() == "mirror/zips/" + build_path(k_first.build_id) + "\n");
  target->point(k_second, {});
  target->point(k_second, {});
  CHECK(text() == "mirror/zips/" + build_path(k_second.build_id) + "\n");
  CHECK_FALSE(target->unpoint(k_first, {}));
  CHECK(text() == "mirror/zips/" + build_path(k_second.build_id) + "\n");
  CHECK(target->unpoint(k_second, {}));
  CHECK_FALSE(fs::exists(bucket.object(link)));
  CHECK_FALSE(target->unpoint(k_second, {}));
  write_file(bucket.object(link), "");
  target->unpoint(k_second, {});
  CHECK(text().empty());
  write_file(bucket.object(link), std::string(5'000, 'x'));
  target->unpoint(k_second, {});
  CHECK(text().size() == 5'000);
}

TEST_CASE("a server that refuses redirects has links without them") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "PutObject", "do": "refuse_redirect"}])");
  bucket.target()->point(k_first, {});
  CHECK(read_file(bucket.object("public/a b/c.zip")) == "mirror/zips/" + build_path(k_first.build_id) + "\n");
  CHECK_THAT(bucket.server.log(), Contains(" 501 ") && Contains(" 200 "));
}

TEST_CASE("a removal takes one file away, and nothing where there is nothing") {
  Bucket bucket;
  bucket.put("content");
  const auto target = bucket.target();
  target->remove(k_build, {});
  CHECK_FALSE(fs::exists(bucket.object(k_path)));
  target->remove(k_build, {});
}

TEST_CASE("a probe writes, reads and removes, and tells of the clock") {
  Bucket bucket;
  write_file(bucket.object("there"), "x");
  bucket.options.connections = 8;
  CHECK(bucket.target()->parallel() == 2);
  const auto condition = bucket.target()->probe({});
  CHECK_FALSE(condition.free_bytes);
  REQUIRE(condition.clock_ahead_seconds);
  CHECK(std::abs(*condition.clock_ahead_seconds) < 5);
  CHECK(test::listing(bucket.object("")).size() <= 4);  // the file, the marker, and the server's empty folders
  bucket.server.fail(R"([{"op": "DeleteObject", "clock": 90}])");
  CHECK(*bucket.target()->probe({}).clock_ahead_seconds > 80);
  bucket.server.fail(R"([{"op": "PutObject", "do": "status", "status": 403, "code": "AccessDenied"}])");
  const auto error = error_of([&] { bucket.target()->probe({}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
}

TEST_CASE("a probe that may not read takes away what it wrote") {
  Bucket bucket;
  bucket.server.fail(R"([{"op": "GetObject", "do": "status", "status": 403, "code": "AccessDenied"}])");
  const auto error = error_of([&] { bucket.target()->probe({}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK(bucket.server.requests("PutObject") == 1);
  CHECK(bucket.server.requests("DeleteObject") == 1);
}

}  // namespace
}  // namespace zipmodule::storage
