#include "config/place.hpp"

#include <string>

#include "config/parse.hpp"
#include "support/catch.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::config {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("an SFTP URL names user, host, port and folder, and is told as it was written") {
  struct Case {
    std::string url, user, host, folder;
    unsigned port;
  };
  const auto [url, user, host, folder, port] = GENERATE(values<Case>({
      {"sftp://cms@web1.example.com/srv/media", "cms", "web1.example.com", "/srv/media", 22},
      {"sftp://cms@web1:2222/srv", "cms", "web1", "/srv", 2222},
      {"sftp://a.b-c@[::1]:22022/x", "a.b-c", "::1", "/x", 22022},
      {"sftp://cms@web1/", "cms", "web1", "/", 22},
      {"sftp://cms@web1/~/media", "cms", "web1", "media", 22},
  }));
  SftpPlace place;
  CHECK(parse_sftp_url(url, place).empty());
  CHECK(place.user == user);
  CHECK(place.host == host);
  CHECK(place.folder == folder);
  CHECK(place.port == port);
  CHECK(to_string(place) == url);
}

TEST_CASE("an SFTP URL that is wrong is told why, and not quoted") {
  const auto [url, problem] = GENERATE(table<std::string, std::string>({
      {"sftp://cms:secret@web1/x", "must not hold a password"},
      {"sftp://web1/secret", "names no user"},
      {"sftp://@web1/secret", "names no user"},
      {"sftp://secret@/x", "names no host"},
      {"sftp://secret@web1", "names no folder"},
      {"sftp://secret@web1:0/x", "has a port that is not"},
      {"sftp://secret@web1:70000/x", "has a port that is not"},
      {"sftp://secret@web1:ssh/x", "has a port that is not"},
      {"sftp://secret@web1:/x", "has a port that is not"},
      {"sftp://secret@[::1/x", "without its closing"},
      {"sftp://secret@[::1]x22/y", "something else than a port"},
      {"sftp://secret@we b/x", "has blanks"},
      {"sftp://secret@web1/x\n", "has blanks"},
  }));
  INFO(url);
  SftpPlace place;
  const std::string text = parse_sftp_url(url, place);
  CHECK_THAT(text, Contains(problem));
  CHECK_THAT(text, !Contains("secret"));
}

TEST_CASE("an S3 URL's prefix is written as keys are, blanks and letters of any language included") {
  S3Place place;
  CHECK(parse_s3_url("s3://bucket/Bilder \u00fcber alles/a+b/", place).empty());
  CHECK(place.prefix == "Bilder \u00fcber alles/a+b");
  CHECK(to_string(place) == "s3://bucket/Bilder \u00fcber alles/a+b");
  const auto [url, problem] = GENERATE(table<std::string, std::string>({
      {"s3://buck et/x", "names no bucket"},
      {"s3://b\u00fccket/x", "names no bucket"},
      {"s3://bucket/a\nb", "has control characters"},
      {"s3://bucket/a%20b", "nothing in it is percent-encoded"},
      {"s3://bucket/a/../b", "dotted part"},
  }));
  INFO(url);
  CHECK_THAT(parse_s3_url(url, place), Contains(problem));
}

TEST_CASE("an https URL names host, port and path, and nothing else") {
  HttpsPlace place;
  CHECK(parse_https_url("https://cms.example.com:8443/media/", place).empty());
  CHECK(to_string(place) == "https://cms.example.com:8443/media");
  CHECK(parse_https_url("https://cms.example.com", place).empty());
  const auto [url, problem] = GENERATE(table<std::string, std::string>({
      {"https:///secret", "names no host"},
      {"https://secret:99999/x", "has a port that is not"},
      {"https://:443/secret", "has a port that is not"},
      {"https://user:secret@host/x", "must not hold a login"},
      {"https://host/x?token=secret", "must not have a '?'"},
      {"https://host/x#secret", "must not have a '?'"},
      {"https://host/sec ret", "has blanks"},
  }));
  CHECK_THAT(parse_https_url(url, place), Contains(problem) && !Contains("secret"));
}

Config example(const std::string& name) {
  const auto parsed = parse(test::read_file(test::source_path("docs/examples/" + name)), name, {4, "h"});
  for (const auto& problem : parsed.problems) FAIL_CHECK(to_string(problem));
  return parsed.config;
}

TEST_CASE("a root may be a URL with how to log in there") {
  const auto roots = example("sftp.yaml").content.roots;
  REQUIRE(roots.size() == 3);
  CHECK(to_string(roots.at("default")) == "/srv/content");
  CHECK(to_string(roots.at("cms")) == "sftp://zipmodule@cms.example.com/srv/media");
  const auto& old = std::get<SftpPlace>(roots.at("old"));
  CHECK(old.port == 2222);
  CHECK(old.folder == "media");
  CHECK(old.key == "/etc/zipmodule/id_ed25519");
  CHECK(old.known_hosts == "/etc/zipmodule/known_hosts");
  CHECK(old.sessions == 8);
  CHECK(old.timeout == std::chrono::seconds(30));
}

TEST_CASE("a root on a web server may say how to talk to it") {
  const auto roots = example("https.yaml").content.roots;
  CHECK(std::get<HttpsPlace>(roots.at("web")).url == "https://cms.example.com/media");
  const auto& inside = std::get<HttpsPlace>(roots.at("inside"));
  CHECK(inside.url == "https://files.internal:8443");
  CHECK(inside.ca == "/etc/zipmodule/internal-ca.pem");
  CHECK(inside.redirects == std::vector<std::string>{"https://cdn.internal/files"});
  CHECK(inside.sessions == 8);
}

TEST_CASE("addresses that redirects may lead to are https URLs, each judged by itself") {
  const std::string text =
      "content:\n  roots:\n    a: {url: 'https://h/a', redirects: 'https://h/b'}\n    b:\n      url: https://h/b\n"
      "      redirects:\n        - http://h/c\n        - https://u:secret@h/d\n        - [x]\n"
      "    c: {url: 's3://b', redirects: ['https://h/e']}\n    d: {url: 'https://h/f', redirects: ['https://h/g//']}\n"
      "archives: {root: /srv/archives}\n";
  const auto parsed = parse(text, "z.yaml", {4, "h"});
  std::string all;
  for (const auto& problem : parsed.problems) all += to_string(problem) + "\n";
  CHECK_THAT(all, Contains("z.yaml:3: content.roots.a.redirects: must be a list"));
  CHECK_THAT(all, Contains("z.yaml:7: content.roots.b.redirects: must be addresses such as https://"));
  CHECK_THAT(all, Contains("z.yaml:8: content.roots.b.redirects: an address must not hold a login"));
  CHECK_THAT(all, Contains("z.yaml:9: content.roots.b.redirects: must be single values"));
  CHECK_THAT(all, Contains("unknown key 'content.roots.c.redirects'"));
  CHECK_THAT(all, !Contains("secret"));
  CHECK(std::get<HttpsPlace>(parsed.config.content.roots.at("d")).redirects == std::vector{std::string("https://h/g")});
}

TEST_CASE("problems of a root's mapping name its line and key") {
  const std::string text =
      "content:\n  roots:\n    a:\n      uri: sftp://u@h/x\n    b:\n      url: ftp://x\n    c:\n      url: "
      "sftp://u:p@h/x\n"
      "    d:\n      url: sftp://u@h/x\n      sessions: 0\n      passwort: x\n      key: relative\n      timeout: "
      "2m\narchives: {root: /srv/archives}\n";
  std::string all;
  for (const auto& problem : parse(text, "z.yaml", {4, "h"}).problems) all += to_string(problem) + "\n";
  CHECK_THAT(all, Contains("content.roots.a.url: is missing"));
  CHECK_THAT(all, Contains("z.yaml:4: unknown key 'content.roots.a.uri'"));
  CHECK_THAT(all, Contains("z.yaml:13: content.roots.d.key: 'relative' must be an absolute path"));
  CHECK_THAT(all, Contains("z.yaml:14: content.roots.d.timeout: must be at most 60s"));
  CHECK_THAT(all, Contains("z.yaml:6: content.roots.b.url: must begin with sftp://, s3:// or https://"));
  CHECK_THAT(all, Contains("content.roots.c: must not hold a password"));
  CHECK_THAT(all, Contains("z.yaml:11: content.roots.d.sessions"));
  CHECK_THAT(all, Contains("z.yaml:12: unknown key 'content.roots.d.passwort'"));
}

TEST_CASE("the examples of buckets and deliveries say what they mean") {
  const Config buckets = example("s3.yaml");
  CHECK(buckets.content.roots.at("media") == Place(S3Place{"example-media", "series"}));
  const auto& inside = std::get<S3Place>(buckets.content.roots.at("inside"));
  CHECK(inside == S3Place{"media", "", "https://s3.internal:9000", "eu-central-1", "path", "zipmodule",
                          "/etc/zipmodule/aws-credentials", "/etc/zipmodule/internal-ca.pem"});
  CHECK(buckets.archives.deliver.at("downloads") == Target{S3Place{"example-downloads"}});
  const auto deliver = example("deliver.yaml").archives.deliver;
  REQUIRE(deliver.size() == 3);
  CHECK(deliver.at("second").required);
  CHECK_FALSE(deliver.at("second").read_back);
  CHECK(to_string(deliver.at("second").place) == "sftp://zipmodule@dl2.example.com/srv/archives");
  CHECK(deliver.at("disk").place == Place(std::filesystem::path("/mnt/mirror")));
  CHECK(to_string(deliver.at("bucket").place) == "s3://example-downloads/archives");
}

TEST_CASE("a root's marker is a path below it, wherever the root is") {
  const auto parsed = parse(
      "content: {roots: {a: {url: /srv/a, marker: .mounted}, b: {url: 's3://bucket', marker: x/y}, c: /srv/c}}\n"
      "archives: {root: /srv/archives}\n",
      "z.yaml", {4, "h"});
  CHECK(parsed.problems.empty());
  CHECK(parsed.config.content.roots.at("a") == Place(std::filesystem::path("/srv/a")));
  CHECK(parsed.config.content.markers == std::map<std::string, std::string>{{"a", ".mounted"}, {"b", "x/y"}});
  for (const std::string marker : {"/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/"}) {
    CAPTURE(marker);
    const auto wrong =
        parse("content: {roots: {a: {url: /srv/a, marker: '" + marker + "'}}}\narchives: {root: /srv/archives}\n",
              "z.yaml", {4, "h"});
    REQUIRE(wrong.problems.size() == 1);
    CHECK_THAT(to_string(wrong.problems[0]),
               Contains("z.yaml:1: content.roots.a.marker: must be a path below the root"));
  }
}

TEST_CASE("problems of targets name their line and key") {
  const std::string text =
      "content: {roots: {default: /srv/content}}\narchives:\n  root: /srv/archives\n  deliver:\n    a: https://h/x\n"
      "    b: /srv/archives/x\n    c: /srv/content\n    d: {url: /mnt/d, read_back: true}\n    'e e': /mnt/e\n"
      "    f: {url: 's3://b', style: odd}\n    g: {url: 's3://b/g', endpoint: 's3.example.com'}\n    h: "
      "'s3://key:secret@b'\n"
      "    i: /mnt/i\n    j: /mnt/i\n    k: {required: true}\n    l: {url: 's3://b/../x'}\n    m: sftp://u@h/x\n"
      "    n: {url: 's3://b', endpoint: 'https://u:secret@h'}\n";
  std::string all;
  for (const auto& problem : parse(text, "z.yaml", {4, "h"}).problems) all += to_string(problem) + "\n";
  CHECK_THAT(all, Contains("z.yaml:5: archives.deliver.a: is a web server"));
  CHECK_THAT(all, Contains("z.yaml:6: archives.deliver.b: /srv/archives/x and archives.root"));
  CHECK_THAT(all, Contains("z.yaml:7: archives.deliver.c: /srv/content and content.roots.default"));
  CHECK_THAT(all, Contains("z.yaml:8: unknown key 'archives.deliver.d.read_back'"));
  CHECK_THAT(all, Contains("z.yaml:9: archives.deliver.e e: a target's name has"));
  CHECK_THAT(all, Contains("z.yaml:10: archives.deliver.f.style:"));
  CHECK_THAT(all, Contains("z.yaml:11: archives.deliver.g.endpoint: must be an address"));
  CHECK_THAT(all, Contains("z.yaml:12: archives.deliver.h: must not hold a key"));
  CHECK_THAT(all, Contains("z.yaml:14: archives.deliver.j: is the place of archives.deliver.i already"));
  CHECK_THAT(all, Contains("archives.deliver.k.url: is missing"));
  CHECK_THAT(all, Contains("z.yaml:16: archives.deliver.l: has an empty or dotted part"));
  CHECK_THAT(all, Contains("z.yaml:18: archives.deliver.n.endpoint: must not hold a login"));
  CHECK_THAT(all, !Contains("secret"));
  CHECK_THAT(all, !Contains("deliver.m"));
}

}  // namespace
}  // namespace zipmodule::config
