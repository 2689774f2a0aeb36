// Content from a bucket and archives to one: the real binary, a server that takes no signature on trust.
#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/ssh_server.hpp"
#include "support/strict_s3.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

constexpr std::int64_t k_time = 1'600'000'001;

// The root 'media' is series/ of the bucket, the target 'bucket' is zips/ of it.
struct Bucket {
  Bucket() {
    configure("credentials: " + server.credentials().string());
    site.set("run.memory", "64MiB");
  }
  std::string place(const std::string& prefix, const std::string& login, const std::string& more = {}) const {
    return "{url: 's3://bucket/" + prefix + "', endpoint: 'http://127.0.0.1:" + std::to_string(line.port()) +
           "', region: " + StrictS3::region() + ", timeout: 2s, " + login + more + "}";
  }
  void configure(const std::string& login) {
    site.set("content.roots", "{default: " + site.content().string() + ", media: " + place("series", login) + "}");
    site.set("archives.deliver", "{bucket: " + place("zips", login, ", required: true") + "}");
  }
  void write(const std::string& path, const std::string& content) const { write_file(there() / path, content, k_time); }
  fs::path there() const { return folder / "objects/series"; }
  fs::path zips() const { return folder / "objects/zips"; }
  void check_archive() const {
    const Verdict verdict = judge(site.link("s", "album"), there());
    INFO(verdict.text());
    CHECK(verdict.good());
  }
  void check_delivered() const {
    const std::string path = site.job("s", "album")["path"];
    CHECK(read_file(zips() / path) == read_file(site.link("s", "album")));
    CHECK(read_file(zips() / "public/s/album.zip") == "zips/" + path + "\n");
  }
  // Nothing of what must stay secret, in what was said or stored.
  void check_secrets(const Result& said) const {
    const std::string told = said.text() + site.sql("SELECT string_agg(t::text, '') FROM zipmodule.telemetry AS t") +
                             site.sql("SELECT string_agg(t::text, '') FROM zipmodule.delivery_telemetry AS t") +
                             site.sql("SELECT string_agg(t::text, '') FROM zipmodule.job AS t");
    for (const char* secret : {"strict/secret", "never-to-be-seen", "Signature=", "strict-token"}) {
      CHECK_THAT(told, !Contains(secret));
    }
  }

  TempDir folder{"bucket"};
  StrictS3 server{folder / "objects"};
  Relay line{server.port()};
  Site site;
};

TEST_CASE(
    "content of a bucket is zipped and delivered to another place in it, and a republish moves only what changed") {
  Bucket cms;
  for (int i = 0; i < 40; ++i) cms.write("album/" + std::to_string(i) + ".jpg", random_bytes(100'000, 100U + i));
  cms.write("album/with space + %41 \xC3\xA9.txt", wordy_text(300'000));
  cms.write("album/film.mp4", random_bytes(20'000'000));
  cms.site.publish("s", "album", "media:album");
  Result run = cms.site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  CHECK(run.quiet());
  CHECK(cms.site.state("s", "album") == "done");
  cms.check_archive();
  cms.check_delivered();
  const std::uint64_t first = cms.line.sent_bytes();
  CHECK(first > 24'000'000);

  cms.write("album/7.jpg", random_bytes(100'000, 7));
  cms.site.publish("s", "album", "s3://bucket/series/album");
  run = cms.site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  cms.check_archive();
  cms.check_delivered();
  CHECK(cms.site.telemetry("s", "album").back()["files_reused"] == 41);
  CHECK(cms.line.sent_bytes() - first < first * 3 / 100);
  cms.check_secrets(run);
}

TEST_CASE("a bucket that refuses the credentials is told by name, with nothing secret, and holds up nobody") {
  Bucket cms;
  cms.write("album/a.jpg", random_bytes(1'000));
  write_file(cms.site.content("b.jpg"), random_bytes(1'000), k_time);
  cms.configure("profile: wrong, credentials: " + cms.server.credentials().string());
  cms.site.publish("s", "album", "media:album");
  cms.site.publish("t", "near", "b.jpg");
  const Result run = cms.site.run();
  CHECK(run.exit_code == 1);
  CHECK(cms.site.job("s", "album")["last_error_kind"] == "source_refused");
  CHECK(cms.site.state("t", "near") == "delivering");
  CHECK(fs::exists(cms.site.link("t", "near")));
  CHECK_THAT(run.err, Contains("target bucket") && Contains("SignatureDoesNotMatch"));
  cms.check_secrets(run);
  cms.configure("credentials: " + cms.server.credentials().string());
  cms.site.make_due();
  cms.site.sql("UPDATE zipmodule.delivery SET due_at = statement_timestamp()");
  CHECK(cms.site.run().exit_code == 0);
  CHECK(cms.site.state("t", "near") == "done");
  cms.check_archive();
  cms.check_delivered();
}

TEST_CASE("a bucket that fails for a while costs nothing but time") {
  Bucket cms;
  cms.write("album/film.mp4", random_bytes(20'000'000));
  for (int i = 0; i < 10; ++i) cms.write("album/" + std::to_string(i), random_bytes(100'000, 40U + i));
  cms.server.fail(R"([{"op": "GetObject", "do": "status", "status": 503, "code": "SlowDown", "skip": 2, "times": 2},
                      {"op": "UploadPart", "do": "status", "status": 500, "code": "InternalError", "skip": 1, "times": 1}])");
  cms.site.publish("s", "album", "media:album");
  const Result run = cms.site.run();
  INFO(run.text());
  REQUIRE(run.exit_code == 0);
  cms.check_archive();
  cms.check_delivered();
  CHECK(cms.server.uploads().empty());
}

TEST_CASE("check reaches the bucket both ways, writes and removes, and tells of the clock") {
  Bucket cms;
  CHECK(cms.site.probe("root media")["level"] == "ok");
  const Json target = cms.site.probe("target bucket");
  INFO(target.dump());
  CHECK(target["level"] == "ok");
  CHECK_THAT(target["detail"].get<std::string>(), Contains("s3://bucket/zips can be written"));
  CHECK_THAT(target["detail"].get<std::string>(),
             Contains("its clock agrees with ours") || Contains("its clock is 1 s"));
  CHECK(listing(cms.zips() / ".zipmodule").empty());  // the server keeps the folder
  cms.configure("profile: wrong, credentials: " + cms.server.credentials().string());
  for (const char* name : {"root media", "target bucket"}) {
    const Json probe = cms.site.probe(name);
    CHECK(probe["level"] == "problem");
    CHECK_THAT(probe["detail"].get<std::string>(), Contains("SignatureDoesNotMatch"));
  }
}

}  // namespace
}  // namespace zipmodule::test
