#include "run/deliverer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "run/site.hpp"

namespace zipmodule::run {
namespace {

// A target that does not answer, or can't be written, is left alone so long, with all that is due there. A login that is
// refused waits longer: a host that counts them should not lock us out.
constexpr std::chrono::seconds k_away{60};
constexpr std::chrono::seconds k_refused{300};
// How often is looked for copies to be removed, and for what has fallen due in the meantime.
constexpr std::chrono::seconds k_removals{60};
constexpr std::chrono::seconds k_poll{2};
// How long the database may be away before the next try, and how long the end waits for what is to be recorded.
constexpr std::chrono::seconds k_database_pause{1};
constexpr double k_database_patience = 10;

std::optional<std::chrono::seconds> rest_after(const std::string& error_kind) {
  const auto kind = error_kind_from_code(error_kind);
  if (kind == ErrorKind::target_refused) return k_refused;
  if (kind == ErrorKind::target_unreachable || kind == ErrorKind::target_unwritable) return k_away;
  return std::nullopt;
}

Fd open_build(const archive::Store& store, const queue::Delivery& delivery) {
  const std::string path = store.absolute(delivery.path);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat s {};
  if (!fd || ::fstat(fd.get(), &s) != 0) throw store_error(errno, "open " + path);
  if (static_cast<std::uint64_t>(s.st_size) != delivery.size_bytes) {
    throw Error(ErrorKind::corrupt, fmt::format("{} has {} bytes, not {}", path, s.st_size, delivery.size_bytes),
                "the next run's audit has it built again");
  }
  return fd;
}

}  // namespace

Deliverer::Deliverer(const config::Config& config, const archive::Store& store, std::int64_t run_id,
                     std::stop_token stop, std::function<void()> became_idle)
    : config_(config),
      store_(store),
      run_id_(run_id),
      stop_(std::move(stop)),
      became_idle_(std::move(became_idle)),
      deliveries_(worker_options(config)) {
  for (const auto& [name, target] : config.archives.deliver) {
    lanes_.emplace(name, Lane{open_target(name, target), nullptr, {}, {}, {}});
  }
  busy_ = !lanes_.empty();
  if (!lanes_.empty()) coordinator_ = std::jthread([this] { coordinate(); });
}

Deliverer::~Deliverer() { close(); }

void Deliverer::look() {
  {
    std::lock_guard lock(mutex_);
    if (lanes_.empty() || closed_) return;
    looked_for_ = true;
    busy_ = true;
  }
  changed_.notify_all();
}

bool Deliverer::busy() const {
  std::lock_guard lock(mutex_);
  return busy_;
}

void Deliverer::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  if (coordinator_.joinable()) coordinator_.join();
}

template <class Ask>
auto Deliverer::with_database(Ask ask) {
  std::lock_guard lock(database_mutex_);
  return ask();
}

bool Deliverer::any_under_way() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return !lane.second.under_way.empty(); });
}

// False where somebody has asked for another look meanwhile, or it was idle before.
bool Deliverer::note_idle() {
  std::lock_guard lock(mutex_);
  return !looked_for_ && std::exchange(busy_, false);
}

void Deliverer::coordinate() {
  Stopwatch since_closed;
  for (;;) {
    const bool was_closing = closing_;
    const bool served = serve();
    const bool under_way = any_under_way();
    if (was_closing && !under_way && (unrecorded_.empty() || since_closed.seconds() > k_database_patience)) return;
    if (served && !under_way && note_idle()) became_idle_();
    wait(served);
    if (closing_ && !was_closing) since_closed = Stopwatch();
  }
}

// Records what ended and starts what is due. False where the database is away.
bool Deliverer::serve() {
  try {
    while (!unrecorded_.empty()) {
      record(unrecorded_.back());
      unrecorded_.pop_back();
    }
    if (closing_ || stop_.stop_requested()) return true;
    for (auto& [name, lane] : lanes_) start_due(lane);
    return true;
  } catch (const Error& error) {
    log::info("deliveries: {}", error.full_text());
    return false;
  }
}

void Deliverer::start_due(Lane& lane) {
  const auto now = Clock::now();
  const std::size_t most = lane.target->parallel();
  if (now < lane.rests_until || lane.under_way.size() >= most) return;
  const std::string& name = lane.target->name();
  const auto free = most - lane.under_way.size();
  const auto due = with_database([&] { return deliveries_.due(name, lane.under_way, free); });
  for (const auto& delivery : due) start(lane, delivery, &Deliverer::deliver);
  if (!due.empty() || now < lane.removes_at) return;
  const auto retired =
      with_database([&] { return deliveries_.retired(name, lane.under_way, config_.archives.grace, free); });
  for (const auto& delivery : retired) start(lane, delivery, &Deliverer::remove);
  if (retired.empty()) lane.removes_at = now + k_removals;
}

void Deliverer::start(Lane& lane, const queue::Delivery& delivery,
                      void (Deliverer::*what)(storage::Target&, Attempt&)) {
  {
    std::lock_guard lock(mutex_);
    busy_ = true;
  }
  lane.under_way.push_back(delivery.build_id);
  if (!lane.threads) lane.threads = std::make_unique<ThreadPool>(lane.target->parallel());
  lane.threads->submit([this, delivery, what, &target = *lane.target] {
    Attempt attempt;
    attempt.delivery = delivery;
    const Stopwatch watch;
    try {
      (this->*what)(target, attempt);
    } catch (const Error& error) {
      attempt.outcome = queue::DeliveryOutcome::retry;
      attempt.error_kind = error.code();
      attempt.error = error.full_text();
    } catch (const std::exception& error) {
      attempt.outcome = queue::DeliveryOutcome::retry;
      attempt.error_kind = traits_of(ErrorKind::internal).code;
      attempt.error = error.what();
    }
    attempt.seconds = watch.seconds();
    if (const auto rest = rest_after(attempt.error_kind)) attempt.retry_after_seconds = rest->count();
    std::lock_guard lock(mutex_);
    ended_.push_back(std::move(attempt));
    changed_.notify_all();
  });
}

void Deliverer::deliver(storage::Target& target, Attempt& attempt) {
  const queue::Delivery& delivery = attempt.delivery;
  Stopwatch watch;
  const Fd build = open_build(store_, delivery);
  attempt.bytes_sent = target.put({build.get(), delivery.size_bytes}, delivery.path, stop_);
  attempt.upload_seconds = watch.lap();
  if (!with_database([&] { return deliveries_.is_wanted(delivery); })) {
    attempt.outcome = queue::DeliveryOutcome::superseded;
    return;
  }
  attempt.switched = true;  // whatever comes of it: an answer that is lost tells nothing
  target.point(archive::public_path(delivery.series, delivery.archive), delivery.path, stop_);
  attempt.switch_seconds = watch.lap();
}

void Deliverer::remove(storage::Target& target, Attempt& attempt) {
  const queue::Delivery& delivery = attempt.delivery;
  attempt.outcome = queue::DeliveryOutcome::removed;
  Stopwatch watch;
  attempt.switched = target.unpoint(archive::public_path(delivery.series, delivery.archive), delivery.path, stop_);
  attempt.switch_seconds = watch.lap();
  target.remove(delivery.path, stop_);
}

void Deliverer::record(const Attempt& attempt) {
  const auto outcome = with_database([&] { return deliveries_.end(run_id_, attempt); });
  const std::string label = fmt::format("{}/{}", attempt.delivery.series, attempt.delivery.archive);
  if (outcome == queue::DeliveryOutcome::done) {
    log::info("{}: delivered to {} in {:.1f} s", label, attempt.delivery.target, attempt.seconds);
  } else if (outcome == queue::DeliveryOutcome::retry) {
    ++failed_;
    log::warn("{}: {}; it will be tried again", label, attempt.error);
  }
}

// Until something has ended, may be due, or is to be ended.
void Deliverer::wait(bool served) {
  std::vector<Attempt> ended;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, served ? k_poll : k_database_pause,
                      [&] { return !ended_.empty() || (served && looked_for_) || closed_ != closing_; });
    ended = std::exchange(ended_, {});
    looked_for_ = false;
    closing_ = closed_;
  }
  for (Attempt& attempt : ended) {
    Lane& lane = lanes_.at(attempt.delivery.target);
    std::erase(lane.under_way, attempt.delivery.build_id);
    if (const auto rest = rest_after(attempt.error_kind)) lane.rests_until = Clock::now() + *rest;
    // What was stopped stays due.
    if (attempt.error_kind != traits_of(ErrorKind::stopped).code) unrecorded_.push_back(std::move(attempt));
  }
}

}  // namespace zipmodule::run
