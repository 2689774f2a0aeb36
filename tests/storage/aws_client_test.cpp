// AWS's own client against the strict server of these tests: that takes its signatures as it takes ours, and each of us reads
// what the other one wrote.
#include <fcntl.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/archive_name.hpp"
#include "base/fd.hpp"
#include "storage/s3_client.hpp"
#include "storage/s3_root.hpp"
#include "storage/s3_target.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/process.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {
namespace {

using Catch::Matchers::Contains;
using test::write_file;

const std::vector<std::string> k_names{"plain",     "a b/c+d",     "\u00e9/\u1234", "50%25",
                                       "a&b=c?d#e", "(x)*!$,;:@'", "~-._"};

struct Bucket {
  Bucket() {
    options.bucket = "bucket";
    options.endpoint = server.endpoint();
    options.region = test::StrictS3::region();
    options.credentials_file = server.credentials();
  }
  test::Result aws(std::vector<std::string> words, const std::string& profile = "default") const {
    std::vector<std::string> argv{"/usr/bin/python3", test::source_path("tests/support/aws_client.py"),
                                  server.endpoint(), test::StrictS3::region(), "bucket"};
    argv.insert(argv.end(), words.begin(), words.end());
    return test::run(test::Command{argv,
                                   {{"AWS_SHARED_CREDENTIALS_FILE", server.credentials().string()},
                                    {"AWS_PROFILE", profile},
                                    {"AWS_ACCESS_KEY_ID", std::nullopt},
                                    {"AWS_CONFIG_FILE", "/dev/null"},
                                    {"LC_ALL", "C.UTF-8"},
                                    {"PYTHONDONTWRITEBYTECODE", "1"}},
                                   {},
                                   {}});
  }

  test::TempDir folder{"aws"};
  test::StrictS3 server{folder / "objects"};
  S3Options options;
};

TEST_CASE("what AWS's own client puts is read, and what is put it reads") {
  const Bucket bucket;
  S3Root root("store", bucket.options, std::uint64_t{16} << 20U);
  S3Client client(bucket.options);
  write_file(bucket.folder / "local", "ours");
  const Fd file(::open((bucket.folder / "local").c_str(), O_RDONLY | O_CLOEXEC));
  for (const std::string& name : k_names) {
    INFO(name);
    const auto put = bucket.aws({"put", "theirs/" + name, "theirs"});
    INFO(put.text());
    REQUIRE(put.exit_code == 0);
    std::string text(6, '\0');
    const auto status = root.status("theirs/" + name, {});
    root.open("theirs/" + name, status, {})->read_at(0, std::as_writable_bytes(std::span(text)));
    CHECK(text == "theirs");
    const HttpBody body{{}, file.get(), 0, 4};
    client.put(client.key_of("ours/" + name), body, digest_of(body, "x"), {}, "x", {});
    CHECK(bucket.aws({"get", "ours/" + name}).out == "ours");
  }
  std::string expected;
  for (const char* name : {"(x)*!$,;:@'", "50%25", "a b/c+d", "a&b=c?d#e", "plain", "~-._", "\u00e9/\u1234"}) {
    expected += std::string("ours/") + name + "\n";
  }
  CHECK(bucket.aws({"list", "ours/"}).out == expected);
}

TEST_CASE("AWS's own client uploads in parts, with a session token, and reads links") {
  const Bucket bucket;
  const auto parts = bucket.aws({"parts", "large", "5"}, "session");
  INFO(parts.text());
  REQUIRE(parts.exit_code == 0);
  S3Root root("store", bucket.options, std::uint64_t{16} << 20U);
  CHECK(root.status("large", {}).size_bytes == std::uint64_t{10} << 20U);
  S3Options options = bucket.options;
  options.prefix = "1 2";
  S3Target target("mirror", options);
  const std::string marker = to_text(tree::TargetMarker{std::string(32, 'a'), std::string(32, 'd')});
  target.write_marker(marker, {});
  target.expect(marker);
  const std::string build_id(32, '1');
  target.point({"a b", "c", build_id}, {});
  CHECK(bucket.aws({"redirect", "1 2/public/a b/c.zip"}).out == "/1%202/" + build_path(build_id) + "\n");
  CHECK(bucket.aws({"get", "1 2/public/a b/c.zip"}).out == "1 2/" + build_path(build_id) + "\n");
  CHECK(bucket.aws({"get", "1 2/.zipmodule.target"}).out == marker);
}

TEST_CASE("the strict server refuses AWS's own client, too, with another secret") {
  const Bucket bucket;
  CHECK_THAT(bucket.aws({"get", "x"}, "wrong").text(), Contains("SignatureDoesNotMatch"));
}

}  // namespace
}  // namespace zipmodule::storage
