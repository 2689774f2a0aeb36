#include "run/ping.hpp"

#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/listener.hpp"

using namespace zipmodule;
using namespace zipmodule::run;
using zipmodule::test::HttpListener;
using zipmodule::test::RefusingPort;

namespace {

const std::string k_secret = "open-sesame-77";

PingOptions patient(int milliseconds) {
  PingOptions options;
  options.timeout = std::chrono::milliseconds(milliseconds);
  return options;
}

HttpListener::Answer redirects_to(const std::string& where) {
  return HttpListener::always(HttpListener::status("302 Found", "Location: " + where + "\r\n"));
}

}  // namespace

TEST_CASE("the address of a signal has its word behind the path, and keeps its query") {
  CHECK(ping_address("https://hc-ping.com/id", Signal::success) == "https://hc-ping.com/id");
  CHECK(ping_address("https://hc-ping.com/id", Signal::start) == "https://hc-ping.com/id/start");
  CHECK(ping_address("https://hc-ping.com/id/", Signal::fail) == "https://hc-ping.com/id/fail");
  CHECK(ping_address("https://hc-ping.com/key/slug?create=1", Signal::fail) ==
        "https://hc-ping.com/key/slug/fail?create=1");
  CHECK(ping_address("http://host:8000", Signal::start) == "http://host:8000/start");
  CHECK_THROWS_AS(ping_address("http://[broken", Signal::start), Error);
}

TEST_CASE("what is told of an address is its host") {
  CHECK(redacted_ping_url("https://user:" + k_secret + "@hc-ping.com:8443/" + k_secret + "?key=" + k_secret) ==
        "https://hc-ping.com/...");
  CHECK(redacted_ping_url("http://[broken/" + k_secret) == "no address");
}

TEST_CASE("start and success are asked for, and a failure is posted with its text") {
  const HttpListener listener(HttpListener::always(HttpListener::status("200 OK")));
  CHECK_FALSE(ping(listener.url("/id"), Signal::start, {}));
  CHECK_FALSE(ping(listener.url("/id"), Signal::success, {}));
  CHECK_FALSE(ping(listener.url("/id"), Signal::fail, "it went wrong"));
  CHECK(listener.log() == "GET /id/start, GET /id, POST /id/fail");
  CHECK(listener.requests().back().body == "it went wrong");
  CHECK_THAT(listener.requests().front().headers, Catch::Contains("User-Agent: zipmodule"));
}

TEST_CASE("a status of trouble is told without the address") {
  const HttpListener listener(HttpListener::always(HttpListener::status("404 Not Found")));
  const auto trouble = ping(listener.url("/" + k_secret), Signal::success, {});
  REQUIRE(trouble);
  CHECK_THAT(*trouble, Catch::Contains("404"));
  CHECK_THAT(*trouble, !Catch::Contains(k_secret));
}

TEST_CASE("a port that refuses is told at once") {
  const RefusingPort port;
  const Stopwatch watch;
  const auto trouble = ping(port.url("/" + k_secret), Signal::start, {});
  CHECK(watch.seconds() < 2);
  REQUIRE(trouble);
  CHECK_THAT(*trouble, !Catch::Contains(k_secret));
}

TEST_CASE("one that never answers costs the time-out and no more") {
  const HttpListener listener(HttpListener::never());
  const Stopwatch watch;
  CHECK(ping(listener.url("/id"), Signal::start, {}, patient(300)));
  CHECK(watch.seconds() >= 0.2);
  CHECK(watch.seconds() < 3);
  CHECK(listener.log() == "GET /id/start");
}

TEST_CASE("half an answer is none") {
  const HttpListener listener(HttpListener::always("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  CHECK(ping(listener.url("/id"), Signal::start, {}));
}

TEST_CASE("a redirect is followed, and a failure stays a post with its text") {
  const HttpListener target(HttpListener::always(HttpListener::status("200 OK")));
  const HttpListener listener(redirects_to(target.url("/moved")));
  CHECK_FALSE(ping(listener.url("/id"), Signal::fail, "why"));
  CHECK(target.log() == "POST /moved");
  CHECK(target.requests().front().body == "why");
}

TEST_CASE("a redirect to another protocol is not followed") {
  for (const std::string where : {"file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/x"}) {
    const HttpListener listener(redirects_to(where));
    INFO(where);
    CHECK(ping(listener.url("/id"), Signal::success, {}));
  }
}

TEST_CASE("an address of another protocol is not called") { CHECK(ping("file:///etc/hostname", Signal::success, {})); }

TEST_CASE("redirects in a circle end") {
  const HttpListener listener(redirects_to("/again"));
  CHECK(ping(listener.url("/id"), Signal::success, {}));
  CHECK(listener.requests().size() == 4);
}
