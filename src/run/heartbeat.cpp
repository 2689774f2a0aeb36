#include "run/heartbeat.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"

namespace zipmodule::run {
namespace {

// A quarter of the lease: three tries may fail. 5 s: operators watch progress.
std::chrono::milliseconds interval(std::chrono::seconds lease) {
  return std::min<std::chrono::milliseconds>(lease / 4, std::chrono::seconds(5));
}

}  // namespace

Heartbeat::Heartbeat(queue::WorkerOptions options, Leases& leases)
    : options_(std::move(options)),
      leases_(leases),
      thread_(start_thread("the heartbeat", [this](const std::stop_token& stop) { loop(stop); })),
      watch_(start_thread("the leases' ends", [this](const std::stop_token& stop) { watch(stop); })) {}

void Heartbeat::pause(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop, time, [] { return false; });
}

void Heartbeat::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pause(stop, std::chrono::seconds(1));
    for (const auto& held : leases_.all()) {
      if (!held->alive()) held->request_stop(StopReason::lease_lost);
    }
  }
}

void Heartbeat::loop(const std::stop_token& stop) {
  queue::Worker worker(options_);
  while (!stop.stop_requested()) {
    pause(stop, interval(options_.lease));
    if (stop.stop_requested()) return;
    try {
      beat(worker);
    } catch (const std::exception& error) {
      log::info("heartbeat: {}", error.what());
    }
  }
}

void Heartbeat::beat(queue::Worker& worker) {
  const auto held = leases_.all();
  worker.note_alive();
  if (held.empty()) return;
  std::vector<queue::LeaseProgress> report;
  report.reserve(held.size());
  for (const auto& lease : held) report.push_back({lease->lease, lease->progress.fraction()});
  const auto deadline = BootClock::now() + options_.lease;
  const auto states = worker.extend(report);
  for (std::size_t i = 0; i < held.size(); ++i) {
    switch (states[i]) {
      case queue::LeaseState::held:
        held[i]->deadline = deadline;
        break;
      case queue::LeaseState::lost:
        held[i]->request_stop(StopReason::lease_lost);
        break;
      case queue::LeaseState::cancelled:
        held[i]->request_stop(StopReason::cancelled);
        break;
    }
  }
}

}  // namespace zipmodule::run
