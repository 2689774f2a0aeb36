// Where credentials come from, with what a host would have: files, environment, and services on a loopback port.
#include "storage/aws_credentials.hpp"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/listener.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using std::chrono::system_clock;
using test::HttpListener;
using test::HttpRequest;
using test::write_file;

// What AWS's tools look at, empty at first: no file, no service.
class Surroundings {
 public:
  Surroundings() {
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
          "AWS_DEFAULT_REGION", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
          "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
          "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED", "AWS_WEB_IDENTITY_TOKEN_FILE", "HOME"}) {
      const char* const value = std::getenv(name);
      earlier_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      ::unsetenv(name);
    }
    set("HOME", folder.path().string());
    set("AWS_EC2_METADATA_DISABLED", "true");
  }
  ~Surroundings() {
    for (const auto& [name, value] : earlier_) {
      if (value)
        ::setenv(name.c_str(), value->c_str(), 1);
      else
        ::unsetenv(name.c_str());
    }
  }
  Surroundings(const Surroundings&) = delete;
  Surroundings& operator=(const Surroundings&) = delete;

  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  test::TempDir folder{"aws"};

 private:
  std::map<std::string, std::optional<std::string>> earlier_;
};

AwsCredentials get(const AwsCredentialChain::Options& options = {}) {
  return AwsCredentialChain(options).get("source x", {});
}

Error refusal(const AwsCredentialChain::Options& options = {}) {
  try {
    get(options);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::usage, "nothing thrown"};
}

std::string answer(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string credentials_json(const std::string& key, const std::string& expires) {
  return R"({"Code": "Success", "AccessKeyId": ")" + key +
         R"(", "SecretAccessKey": "s3cret", "Token": "t0ken", "Expiration": ")" + expires + "\"}";
}

TEST_CASE("an INI file is read as AWS's tools write it") {
  const IniFile file = parse_ini(
      "# comment\nlost = 1\n[default]\nregion=eu-central-1\r\n Nested = no\n[profile two ]\n AWS_x = no\n"
      "s3 =\n  max = 5\nKey = a=b \n; comment\n[broken\nk = v\n");
  CHECK(file.at("default") == std::map<std::string, std::string>{{"region", "eu-central-1"}});
  CHECK(file.at("profile two").at("key") == "a=b");
  CHECK(file.at("profile two").count("max") == 0);
  CHECK(file.size() == 2);
}

TEST_CASE("the environment comes first, then the files' profile, and a profile that is named is the only place") {
  const Surroundings host;
  write_file(host.folder / ".aws/credentials",
             "[default]\naws_access_key_id = FILE\naws_secret_access_key = f\n"
             "[other]\naws_access_key_id = OTHER\naws_secret_access_key = o\naws_session_token = tok\n");
  write_file(host.folder / ".aws/config",
             "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-3\n"
             "[profile inconfig]\naws_access_key_id = CONFIG\naws_secret_access_key = c\n");
  CHECK(get().key_id == "FILE");
  CHECK(AwsCredentialChain({}).region() == "eu-west-1");
  CHECK(get({"other", {}}).session_token == "tok");
  CHECK(AwsCredentialChain({"other", {}}).region() == "eu-west-3");
  CHECK(get({"inconfig", {}}).key_id == "CONFIG");
  Surroundings::set("AWS_PROFILE", "other");
  CHECK(get().key_id == "OTHER");
  Surroundings::set("AWS_ACCESS_KEY_ID", "ENVIRONMENT");
  Surroundings::set("AWS_SECRET_ACCESS_KEY", "e");
  Surroundings::set("AWS_REGION", "us-west-2");
  CHECK(get().key_id == "ENVIRONMENT");
  CHECK(AwsCredentialChain({}).region() == "us-west-2");
  CHECK(get({"other", {}}).key_id == "OTHER");
  CHECK(AwsCredentialChain({"other", {}}).region() == "eu-west-3");
  write_file(host.folder / "own", "[other]\naws_access_key_id = OWN\naws_secret_access_key = w\n");
  CHECK(get({"", host.folder / "own"}).key_id == "OWN");
}

TEST_CASE("where there are no credentials it is told where they were looked for, and nothing secret") {
  const Surroundings host;
  write_file(host.folder / ".aws/credentials", "[default]\naws_secret_access_key = never-to-be-seen\n");
  write_file(host.folder / ".aws/config", "[profile role]\nrole_arn = arn:aws:iam::1:role/x\n");
  const Error error = refusal();
  CHECK(error.kind() == ErrorKind::source_refused);
  CHECK_THAT(error.what(), Contains("source x: no AWS credentials") && Contains("AWS_ACCESS_KEY_ID") &&
                               Contains("profile 'default'") && Contains(".aws/credentials"));
  CHECK_THAT(error.full_text(), !Contains("never-to-be-seen"));
  CHECK_THAT(refusal({"role", {}}).what(), Contains("role_arn, which is not supported"));
  CHECK_THAT(refusal({"nobody", {}}).what(), Contains("profile 'nobody'"));
}

TEST_CASE("a container's endpoint is asked with its token") {
  const Surroundings host;
  const HttpListener service([](const HttpRequest& request) {
    if (request.headers.find("Authorization: let me in\r\n") == std::string::npos) {
      return HttpListener::status("403 Forbidden");
    }
    return answer(credentials_json("CONTAINER", "2099-01-01T00:00:00Z"));
  });
  Surroundings::set("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/creds?id=1"));
  CHECK_THAT(refusal().what(), Contains("container's endpoint answers 403"));
  Surroundings::set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in");
  CHECK(get().key_id == "CONTAINER");
  CHECK(get().session_token == "t0ken");
  CHECK(service.requests().back().path == "/creds?id=1");
  write_file(host.folder / "token", "let me in\n");
  Surroundings::set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong");
  Surroundings::set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", (host.folder / "token").string());
  CHECK(get().key_id == "CONTAINER");
  write_file(host.folder / "token", "let me in\r\nX-Injected: 1");
  CHECK_THAT(refusal().what(), Contains("authorization token"));
}

TEST_CASE("a container's endpoint that is neither https nor of this host is told nothing") {
  const Surroundings host;
  const std::string url =
      GENERATE(as<std::string>(), "http://example.com/", "http://127.0.0.1.example.com/x",
               "http://127.0.0.1@example.com/", "http://10.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd");
  INFO(url);
  Surroundings::set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
  Surroundings::set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "never-to-be-seen");
  const Error error = refusal();
  CHECK_THAT(error.what(), Contains("neither https nor an address of this host"));
  CHECK_THAT(error.full_text(), !Contains("never-to-be-seen"));
}

// As EC2 has it.
std::string metadata(const HttpRequest& request, const std::string& credentials) {
  if (request.path == "/latest/api/token") {
    const bool right =
        request.method == "PUT" && request.headers.find("X-aws-ec2-metadata-token-ttl-seconds: ") != std::string::npos;
    return right ? answer("session") : HttpListener::status("400 Bad");
  }
  if (request.headers.find("X-aws-ec2-metadata-token: session\r\n") == std::string::npos) {
    return HttpListener::status("401 Unauthorized");
  }
  if (request.path == "/latest/meta-data/iam/security-credentials/") return answer("the role\n");
  if (request.path == "/latest/meta-data/iam/security-credentials/the%20role") return answer(credentials);
  return HttpListener::status("404 Not Found");
}

TEST_CASE("the instance's metadata service is asked by its second version") {
  const Surroundings host;
  const HttpListener service([](const HttpRequest& request) {
    return metadata(request, credentials_json("INSTANCE", "2099-01-01T00:00:00Z"));
  });
  Surroundings::set("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url(""));
  CHECK_THAT(refusal().what(), !Contains("metadata"));
  ::unsetenv("AWS_EC2_METADATA_DISABLED");
  CHECK(get().key_id == "INSTANCE");
  CHECK(get().expires == system_clock::from_time_t(4'070'908'800));
}

TEST_CASE("a metadata service that is silent, or says something else, ends in an error soon") {
  const Surroundings host;
  ::unsetenv("AWS_EC2_METADATA_DISABLED");
  SECTION("silent") {
    const HttpListener service(HttpListener::never());
    Surroundings::set("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url(""));
    const Stopwatch watch;
    CHECK_THAT(refusal().what(), Contains("metadata service"));
    CHECK(watch.seconds() < 9);
  }
  SECTION("nobody there") {
    const test::RefusingPort nobody;
    Surroundings::set("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.url(""));
    CHECK_THAT(refusal().what(), Contains("metadata service"));
  }
  SECTION("something else") {
    const std::string text =
        GENERATE(as<std::string>(), "<html>", "[1]", "{\"AccessKeyId\": 7}",
                 R"({"AccessKeyId": "a", "SecretAccessKey": "never-to-be-seen", "Expiration": "soon"})");
    const HttpListener service([&](const HttpRequest& request) { return metadata(request, text); });
    Surroundings::set("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url(""));
    const Error error = refusal();
    CHECK_THAT(error.what(), Contains("answers with something else"));
    CHECK_THAT(error.full_text(), !Contains("never-to-be-seen"));
  }
}

TEST_CASE("what expires is renewed five minutes before, once, and used on while that fails") {
  const Surroundings host;
  std::atomic<int> served = 0;
  std::atomic<bool> broken = false;
  const HttpListener service([&](const HttpRequest&) {
    if (broken) return HttpListener::status("500 Broken");
    return answer(credentials_json("KEY" + std::to_string(++served), "2030-01-01T00:00:00Z"));
  });
  Surroundings::set("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/"));
  const auto end = system_clock::from_time_t(1'893'456'000);
  std::atomic<int> seconds_before = 3'600;
  AwsCredentialChain chain({"", {}, [&] { return end - std::chrono::seconds(seconds_before); }});
  CHECK(chain.get("x", {}).key_id == "KEY1");
  seconds_before = 301;
  CHECK(chain.get("x", {}).key_id == "KEY1");
  CHECK(served == 1);
  broken = true;
  seconds_before = 299;
  CHECK(chain.get("x", {}).key_id == "KEY1");
  CHECK(service.requests().size() == 4);
  CHECK(chain.get("x", {}).key_id == "KEY1");  // and not tried again at once
  CHECK(service.requests().size() == 4);
  seconds_before = 1;
  CHECK_THROWS_AS(chain.get("x", {}), Error);
  CHECK(service.requests().size() == 4);
  broken = false;
  std::atomic<int> wrong = 0;
  seconds_before = 3'600;
  AwsCredentialChain fresh({"", {}, [&] { return end - std::chrono::seconds(seconds_before); }});
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        if (fresh.get("x", {}).key_id != "KEY2") ++wrong;
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(served == 2);
  const AwsCredentials used = fresh.get("x", {});
  fresh.forget(used);
  CHECK(fresh.get("x", {}).key_id == "KEY3");
  fresh.forget(used);  // by another thread, too late
  CHECK(fresh.get("x", {}).key_id == "KEY3");
}

TEST_CASE("what is configured and can't be used ends the search, lest another identity be taken") {
  const Surroundings host;
  const HttpListener service(
      [](const HttpRequest&) { return answer(credentials_json("SOMEBODY", "2099-01-01T00:00:00Z")); });
  Surroundings::set("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/"));
  const auto ends = [&](const std::string& text, const AwsCredentialChain::Options& options = {}) {
    const Error error = refusal(options);
    CHECK(error.kind() == ErrorKind::source_refused);
    CHECK_THAT(error.what(), Contains(text));
    CHECK(service.requests().empty());
  };
  const fs::path config = host.folder / ".aws/config";
  const fs::path credentials = host.folder / ".aws/credentials";
  SECTION("a role") {
    write_file(config, "[profile x]\nrole_arn = r\nsource_profile = x\n");
    write_file(credentials, "[x]\naws_access_key_id = BASE\naws_secret_access_key = b\n");
    Surroundings::set("AWS_PROFILE", "x");
    ends("role_arn, which is not supported");
  }
  SECTION("what the default profile has") {
    write_file(config, "[default]\nsso_session = s\n");
    ends("sso_session, which is not supported");
  }
  SECTION("a profile that is nowhere") {
    write_file(credentials, "[y]\naws_access_key_id = Y\naws_secret_access_key = y\n");
    Surroundings::set("AWS_PROFILE", "x");
    ends("no keys of profile 'x'");
  }
  SECTION("half a pair") {
    Surroundings::set("AWS_ACCESS_KEY_ID", "A");
    ends("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
  SECTION("half a pair in a file") {
    write_file(credentials, "[default]\naws_access_key_id = A\n");
    ends("half of a pair");
  }
  SECTION("a web identity") {
    Surroundings::set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
    ends("AWS_WEB_IDENTITY_TOKEN_FILE is set, which is not supported");
  }
  SECTION("the file of the options, and no other") {
    write_file(config, "[default]\nregion = eu-west-1\naws_access_key_id = C\naws_secret_access_key = c\n");
    ends("own can't be read: No such file or directory", {"", host.folder / "own"});
    write_file(host.folder / "own", "[other]\n");
    ends("no keys of profile 'default' in", {"", host.folder / "own"});
    CHECK(AwsCredentialChain({"", host.folder / "own"}).region() == "eu-west-1");
  }
  SECTION("a file that can't be read") {
    fs::create_directories(credentials);
    ends("credentials can't be read: Is a directory");
  }
}

TEST_CASE("a service that is in trouble for a moment is asked again, and unreachable when it stays so") {
  const Surroundings host;
  std::atomic<int> busy = 2;
  const HttpListener service([&](const HttpRequest&) {
    if (busy-- > 0) return HttpListener::status("503 Busy");
    return answer(credentials_json("KEY", "2099-01-01T00:00:00Z"));
  });
  Surroundings::set("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/"));
  CHECK(get().key_id == "KEY");
  CHECK(service.requests().size() == 3);
  busy = 100;
  CHECK(refusal().kind() == ErrorKind::source_unreachable);
  CHECK(service.requests().size() == 6);
}

}  // namespace
}  // namespace zipmodule::storage
