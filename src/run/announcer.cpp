#include "run/announcer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>

#include "base/error.hpp"
#include "base/log.hpp"
#include "tree/tree.hpp"

namespace zipmodule::run {
namespace {

// As a phone shows it; healthchecks.io keeps 100 kB.
constexpr std::size_t k_most_error_bytes = 1'000;
// The run's end must not wait for a database that hangs.
constexpr std::chrono::seconds k_patience{10};

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string summary(const config::Config& config, const Ending& ending) {
  std::string text = fmt::format("zipmodule run on {}: {}, exit code {}\n{} claimed, {} done, {} failed in {:.1f} s\n",
                                 config.run.host, ending.outcome, ending.exit_code, ending.claimed, ending.done,
                                 ending.failed, ending.seconds);
  if (!ending.error.empty()) text += ending.error.substr(0, k_most_error_bytes) + "\n";
  return text;
}

}  // namespace

Announcer::Announcer(const config::Config& config, std::string version)
    : config_(config), version_(std::move(version)), started_at_(now()) {}

void Announcer::signal(Signal signal, const std::string& body) {
  if (config_.run.ping_url.empty()) return;
  PingOptions options;
  options.user_agent = "zipmodule/" + version_;
  const auto trouble = ping(config_.run.ping_url, signal, body, options);
  if (!trouble) return;
  const std::string text = fmt::format("ping to {}: {}", redacted_ping_url(config_.run.ping_url), *trouble);
  if (warned_)
    log::info("{}", text);
  else
    log::warn("{}", text);
  warned_ = true;
}

void Announcer::write_file(const Ending& ending) {
  if (!config_.run.metrics_file) return;
  Metrics metrics{ending, config_.run.host, version_, std::nullopt, std::nullopt};
  // After a run that the database ended, asking it would only take the same time again.
  if (ending.outcome != "database") {
    try {
      metrics.queue = queue::Upkeep({config_.database.dsn, "zipmodule run"}, k_patience).gauges(config_.run.host);
    } catch (const Error& error) {
      log::info("no figures of the queue for run.metrics_file: {}", error.what());
    }
  }
  try {
    metrics.store_free_bytes = tree::Tree(config_.archives.root).free_bytes();
  } catch (const Error& error) {
    log::info("no figures of the store for run.metrics_file: {}", error.what());
  }
  write_metrics(*config_.run.metrics_file, metrics_text(metrics));
}

void Announcer::started() noexcept {
  try {
    signal(Signal::start, {});
  } catch (const std::exception& error) {
    log::warn("ping: {}", error.what());
  }
}

void Announcer::ended(Ending ending) noexcept {
  ending.started_at = started_at_;
  ending.ended_at = now();
  ending.seconds = watch_.seconds();
  try {
    write_file(ending);
  } catch (const std::exception& error) {
    log::warn("run.metrics_file: {}", error.what());
  }
  try {
    if (ending.exit_code == 0)
      signal(Signal::success, {});
    else
      signal(Signal::fail, summary(config_, ending));
  } catch (const std::exception& error) {
    log::warn("ping: {}", error.what());
  }
}

}  // namespace zipmodule::run
