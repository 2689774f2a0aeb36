#include "run/lookout.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "run/site.hpp"

namespace zipmodule::run {
namespace {

// How often a run looks for work by itself: where notifications arrive, only for what they might miss.
constexpr std::chrono::milliseconds k_poll{500};
constexpr std::chrono::milliseconds k_poll_listening{5'000};
// How long an answer to when the next job is due is good for: asking costs as much as there are jobs that wait.
// An answer that was slow is good for twenty times its own time.
constexpr double k_due_good_seconds = 0.1;
constexpr double k_due_good_times = 20;

}  // namespace

Lookout::Lookout(const config::Config& config, queue::Worker& worker, Patience& patience, std::function<void()> wake)
    : worker_(worker), patience_(patience), lease_(config.run.lease) {
  if (config.run.linger > std::chrono::seconds(0)) {
    listener_.emplace(connection_options(config), std::move(wake));
  }
}

void Lookout::note_listening() {
  const bool listens = listener_ && listener_->is_listening();
  const bool expires = since_noted_.seconds() > std::chrono::duration<double>(lease_).count() / 4;
  if (listens == listening_ && !(listens && expires)) return;
  patience_.with_database([&] { worker_.note_listening(listens ? lease_ : std::chrono::seconds(0)); });
  listening_ = listens;
  since_noted_ = Stopwatch();
}

double Lookout::seconds_to_next_due() {
  const auto left = [&] { return due_->seconds - due_->asked.seconds(); };
  const bool good = due_ && due_->asked.seconds() < due_->good_seconds && (due_->seconds <= 0 || left() > 0);
  if (!good) {
    const Stopwatch watch;
    const auto due = patience_.with_database([&] { return worker_.next_due(); });
    due_.emplace(NextDue{due.value_or(std::numeric_limits<double>::infinity()),
                         std::max(k_due_good_seconds, k_due_good_times * watch.seconds()), Stopwatch()});
  }
  return left();
}

std::chrono::milliseconds Lookout::pause(double most) {
  using Seconds = std::chrono::duration<double>;
  const double poll = Seconds(k_poll).count();
  const double due = seconds_to_next_due();
  double seconds = std::min(most, listening_ ? Seconds(k_poll_listening).count() : poll);
  // What is due but was not claimed waits for others: a lane that is full, a row that is locked.
  seconds = std::min(seconds, due > 0 ? due : poll);
  return std::chrono::ceil<std::chrono::milliseconds>(Seconds(std::max(seconds, 0.0)));
}

}  // namespace zipmodule::run
