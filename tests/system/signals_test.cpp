// What a run tells the world outside: pings and the metrics file.
#include <algorithm>
#include <csignal>

#include "base/clock.hpp"
#include "base/file_lock.hpp"
#include "support/catch.hpp"
#include "support/listener.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_secret = "open-sesame-77";

HttpListener::Answer ok() { return HttpListener::always(HttpListener::status("200 OK")); }

// A site whose runs ping `url`, with one publish that is due.
struct PingingSite : Site {
  explicit PingingSite(const std::string& url) {
    set("run.ping_url", "\"" + url + "\"");
    write_file(content("a.txt"), "a");
    publish("series", "a", "a.txt");
  }
};

// The value of a sample whose line begins so; empty where there is none.
std::string sample(const Site& site, const std::string& begin) {
  const std::string text = "\n" + read_file(site.scratch("zipmodule.prom"));
  const auto at = text.find("\n" + begin);
  if (at == std::string::npos) return {};
  const auto value = text.find("} ", at) + 2;
  return text.substr(value, text.find('\n', value) - value);
}

}  // namespace

TEST_CASE("a run that goes well pings its start and its success") {
  const HttpListener listener(ok());
  const PingingSite site(listener.url("/" + k_secret));
  CHECK(site.run().quiet());
  CHECK(listener.log() == "GET /" + k_secret + "/start, GET /" + k_secret);
  CHECK(site.state("series", "a") == "done");
}

TEST_CASE("a run with a failed job pings the failure, with a summary") {
  const HttpListener listener(ok());
  const PingingSite site(listener.url("/id"));
  site.publish("series", "b", "missing.txt");
  CHECK(site.run().exit_code == 1);
  CHECK(listener.log() == "GET /id/start, POST /id/fail");
  const std::string body = listener.requests().back().body;
  INFO(body);
  CHECK(body.find("zipmodule run on first.test: failed, exit code 1") == 0);
  CHECK(body.find("2 claimed, 1 done, 1 failed") != std::string::npos);
}

TEST_CASE("a run that can't reach its database pings the failure, without what is secret of the dsn") {
  const HttpListener listener(ok());
  PingingSite site(listener.url("/id"));
  site.set("database.dsn", "\"host=" + site.scratch("no-server").string() + " password=" + k_secret + "\"");
  CHECK(site.run().exit_code == 69);
  CHECK(listener.log() == "POST /id/fail");
  const std::string body = listener.requests().back().body;
  INFO(body);
  CHECK(body.find("database, exit code 69") != std::string::npos);
  CHECK(body.find("no-server") != std::string::npos);
  CHECK(body.find(k_secret) == std::string::npos);
}

TEST_CASE("a run that finds either lock held pings nothing and leaves the metrics alone") {
  const HttpListener listener(ok());
  PingingSite site(listener.url("/id"));
  site.set("run.metrics_file", "\"" + site.scratch("zipmodule.prom").string() + "\"");
  {
    const auto lock = FileLock::try_acquire(site.lock_file());
    CHECK(site.run().exit_code == 0);
  }
  {
    const auto lock = FileLock::try_acquire(site.store(".zipmodule.lock"));
    CHECK(site.run().exit_code == 0);
  }
  CHECK(listener.log().empty());
  CHECK_FALSE(fs::exists(site.scratch("zipmodule.prom")));
  CHECK(site.run().exit_code == 0);
  CHECK(listener.log() == "GET /id/start, GET /id");
}

TEST_CASE("a killed run has pinged its start alone") {
  const HttpListener listener(ok());
  Site site;
  site.set("run.ping_url", "\"" + listener.url("/id") + "\"");
  site.add_slow_content("slow.txt");
  site.publish("series", "a", "slow.txt");
  Process run = site.run_until_building();
  run.send(SIGKILL);
  CHECK(run.wait().signal == SIGKILL);
  CHECK(listener.log() == "GET /id/start");
}

TEST_CASE("a ping that is refused fails no run, and is one warning without its path") {
  const RefusingPort port;
  const PingingSite site(port.url("/" + k_secret));
  const Result run = site.call({"-v", "-v", "run"});
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(run.err.find("ping to http://127.0.0.1/...") != std::string::npos);
  CHECK(run.err.find(k_secret) == std::string::npos);
  CHECK(site.state("series", "a") == "done");

  const Result quiet = site.run();
  INFO(quiet.text());
  CHECK(quiet.exit_code == 0);
  CHECK(std::count(quiet.err.begin(), quiet.err.end(), '\n') == 1);
}

TEST_CASE("a ping that is never answered delays a run by its time-outs, not longer") {
  const HttpListener listener(HttpListener::never());
  const PingingSite site(listener.url("/id"));
  const Stopwatch watch;
  const Result run = site.run();
  const double seconds = watch.seconds();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(listener.log() == "GET /id/start, GET /id");
  CHECK(site.state("series", "a") == "done");
  CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
  CHECK(seconds >= 9);  // twice 5 s, but for a rounding
  CHECK(seconds < 30);
}

TEST_CASE("an address for pings that is none is refused without quoting it") {
  Site site;
  for (const std::string& url : {"ftp://host/" + k_secret, "hc-ping.com/" + k_secret, "https:///" + k_secret}) {
    site.set("run.ping_url", "\"" + url + "\"");
    const Result result = site.call({"check-config"});
    INFO(result.text());
    CHECK(result.exit_code == 78);
    CHECK(result.text().find("run.ping_url") != std::string::npos);
    CHECK(result.text().find(k_secret) == std::string::npos);
  }
  site.set("run.ping_url", "\"https://hc-ping.com/" + k_secret + "\"");
  const Result shown = site.call({"-v", "check-config"});
  CHECK(shown.exit_code == 0);
  CHECK(shown.text().find("https://hc-ping.com/...") != std::string::npos);
  CHECK(shown.text().find(k_secret) == std::string::npos);
}

TEST_CASE("a run's metrics say how it ended and how the queue is") {
  Site site;
  site.set("run.metrics_file", "\"" + site.scratch("zipmodule.prom").string() + "\"");
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  site.publish("series", "b", "missing.txt");
  CHECK(site.run().exit_code == 1);
  CHECK(sample(site, "zipmodule_run_success{") == "0");
  CHECK(sample(site, "zipmodule_run_jobs{instance_host=\"first.test\",result=\"claimed\"}") == "2");
  CHECK(sample(site, "zipmodule_run_jobs{instance_host=\"first.test\",result=\"done\"}") == "1");
  CHECK(sample(site, "zipmodule_run_jobs{instance_host=\"first.test\",result=\"failed\"}") == "1");
  CHECK(sample(site, "zipmodule_queue_jobs{instance_host=\"first.test\",state=\"waiting\"}") == "1");
  CHECK(sample(site, "zipmodule_run_last_success").empty());

  write_file(site.content("missing.txt"), "there now");
  site.make_due();
  CHECK(site.run().quiet());
  CHECK(sample(site, "zipmodule_run_success{") == "1");
  CHECK(sample(site, "zipmodule_run_outcome{instance_host=\"first.test\",outcome=\"done\"}") == "1");
  CHECK(sample(site, "zipmodule_queue_jobs{instance_host=\"first.test\",state=\"waiting\"}") == "0");
  const double started = std::stod(sample(site, "zipmodule_run_start_timestamp_seconds"));
  const double ended = std::stod(sample(site, "zipmodule_run_end_timestamp_seconds"));
  const double succeeded = std::stod(sample(site, "zipmodule_run_last_success_timestamp_seconds"));
  CHECK(started <= succeeded);
  CHECK(succeeded <= ended);
  CHECK(std::stod(sample(site, "zipmodule_store_free_bytes")) > 0);
}

TEST_CASE("a run that the database ended leaves metrics of itself, and none of a queue it can't know") {
  Site site;
  site.set("run.metrics_file", "\"" + site.scratch("zipmodule.prom").string() + "\"");
  CHECK(site.run().quiet());
  CHECK(sample(site, "zipmodule_run_success{") == "1");
  site.set("database.dsn", "\"host=" + site.scratch("no-server").string() + "\"");
  CHECK(site.run().exit_code == 69);
  CHECK(sample(site, "zipmodule_run_success{") == "0");
  CHECK(sample(site, "zipmodule_run_exit_code{") == "69");
  CHECK(sample(site, "zipmodule_run_outcome{instance_host=\"first.test\",outcome=\"database\"}") == "1");
  CHECK(sample(site, "zipmodule_queue_jobs").empty());
}

TEST_CASE("a metrics file that can't be written fails no run, and is named") {
  Site site;
  site.set("run.metrics_file", "\"" + site.scratch("no folder/zipmodule.prom").string() + "\"");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 0);
  CHECK(run.err.find("no folder/zipmodule.prom") != std::string::npos);
}

}  // namespace zipmodule::test
