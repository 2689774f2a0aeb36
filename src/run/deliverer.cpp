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
#include "run/target_place.hpp"

namespace zipmodule::run {
namespace {

// A target that does not answer, or can't be written, is left alone so long, with all that is due there. A login that
// is refused waits longer: a host that counts them should not lock us out.
constexpr std::chrono::seconds k_away{60};
constexpr std::chrono::seconds k_refused{300};
// How often is looked for copies to be removed, and for what has fallen due in the meantime.
constexpr std::chrono::seconds k_removals{60};
constexpr std::chrono::seconds k_poll{2};
constexpr std::size_t k_backlog_batch = 1'000;
// How long the database may be away before the next try, and how long the end waits for what is to be recorded.
constexpr std::chrono::seconds k_database_pause{1};
constexpr double k_database_patience = 10;

std::optional<std::chrono::seconds> rest_after(const std::string& error_kind) {
  const auto kind = error_kind_from_code(error_kind);
  if (kind == ErrorKind::target_refused) return k_refused;
  if (kind == ErrorKind::threads || kind == ErrorKind::target_unreachable || kind == ErrorKind::target_unwritable)
    return k_away;
  return std::nullopt;
}

Fd open_build(const archive::Store& store, const queue::Delivery& delivery, std::int64_t& mtime_ns) {
  const std::string path = store.absolute(delivery.build_id);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat s {};
  if (!fd || ::fstat(fd.get(), &s) != 0) throw store_error(errno, "open " + path);
  if (static_cast<std::uint64_t>(s.st_size) != delivery.size_bytes) {
    throw Error(ErrorKind::corrupt, fmt::format("{} has {} bytes, not {}", path, s.st_size, delivery.size_bytes),
                "the next run's audit has it built again");
  }
  mtime_ns = std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
  return fd;
}

tree::Link link_of(const queue::Delivery& delivery) { return {delivery.series, delivery.archive, delivery.build_id}; }

}  // namespace

Deliverer::Deliverer(const config::Config& config, const archive::Store& store, const std::string& store_id,
                     std::int64_t run_id, std::stop_token stop, std::function<void()> became_idle)
    : config_(config),
      store_(store),
      run_id_(run_id),
      stop_(std::move(stop)),
      became_idle_(std::move(became_idle)),
      on_stop_(stop_, [this] { ended_.request_stop(); }),
      deliveries_(worker_options(config, store_id)) {
  for (const auto& [name, target] : config.archives.deliver) {
    Lane& lane = lanes_[name];
    lane.target = open_target(name, target, store.tree().access());
    lane.place = place_key(store_id, target.place);
    lane.threads = std::make_unique<ThreadPool>(lane.target->parallel());
  }
  busy_ = !lanes_.empty();
  if (!lanes_.empty()) coordinator_ = start_thread("deliveries", [this](const std::stop_token&) { coordinate(); });
}

Deliverer::~Deliverer() {
  ended_.request_stop();  // where something else has gone wrong, nobody waits for uploads
  close();
}

void Deliverer::look() {
  {
    std::lock_guard lock(mutex_);
    if (lanes_.empty() || draining_) return;
    looked_for_ = true;
    busy_ = true;
  }
  changed_.notify_all();
}

bool Deliverer::busy() const {
  std::lock_guard lock(mutex_);
  return busy_;
}

void Deliverer::drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Deliverer::is_draining() const {
  std::lock_guard lock(mutex_);
  return draining_;
}

void Deliverer::close() {
  drain();
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
    if (given_up_) return true;
    while (backlog_ && !is_draining() && !stop_.stop_requested()) {
      backlog_ = with_database([&] { return deliveries_.add_backlog(k_backlog_batch); });
    }
    if (is_draining() || stop_.stop_requested()) return true;
    for (auto& [name, lane] : lanes_) start_due(lane);
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::database) {
      log::info("deliveries: {}", error.full_text());
      return false;
    }
    give_up(error.full_text());
  } catch (const std::exception& error) {
    give_up(error.what());
  }
  return true;
}

// For this run: the same would go wrong again. All of it stays due.
void Deliverer::give_up(const std::string& why) {
  log::warn("nothing more is delivered in this run: {}", why);
  ++failed_;
  given_up_ = true;
  unrecorded_.clear();
}

void Deliverer::start_due(Lane& lane) {
  const auto now = Clock::now();
  const std::string& name = lane.target->name();
  const auto free = [&] {
    return lane.target->parallel() - std::min<std::size_t>(lane.target->parallel(), lane.under_way.size());
  };
  // First what makes room, and so also where there is none.
  if (now >= lane.away_until && now >= lane.removes_at && free() > 0) {
    const auto most = free();
    const auto retired =
        with_database([&] { return deliveries_.retired(name, lane.under_way, config_.archives.grace, most); });
    for (const auto& delivery : retired) start(lane, delivery, &Deliverer::remove);
    if (retired.size() < most) lane.removes_at = now + k_removals;
  }
  if (now < lane.away_until || now < lane.full_until || free() == 0) return;
  const auto due = with_database([&] { return deliveries_.due(name, lane.under_way, free()); });
  for (const auto& delivery : due) start(lane, delivery, &Deliverer::deliver);
}

void Deliverer::start(Lane& lane, const queue::Delivery& delivery,
                      void (Deliverer::*what)(storage::Target&, Attempt&)) {
  {
    std::lock_guard lock(mutex_);
    busy_ = true;
  }
  lane.under_way.push_back(delivery.build_id);
  lane.threads->submit([this, delivery, what, &lane] {
    Attempt attempt;
    attempt.delivery = delivery;
    const Stopwatch watch;
    try {
      settle(lane);
      (this->*what)(*lane.target, attempt);
    } catch (const Error& error) {
      attempt.outcome = queue::DeliveryOutcome::retry;
      attempt.error_kind = error.code();
      attempt.error = error.full_text();
      if (error.kind() == ErrorKind::target_unreachable) unsettle(lane);
    } catch (const std::exception& error) {
      attempt.outcome = queue::DeliveryOutcome::retry;
      attempt.error_kind = traits_of(ErrorKind::internal).code;
      attempt.error = error.what();
    }
    attempt.seconds = watch.seconds();
    if (const auto rest = rest_after(attempt.error_kind)) attempt.retry_after_seconds = rest->count();
    std::lock_guard lock(mutex_);
    results_.push_back(std::move(attempt));
    changed_.notify_all();
  });
}

// Its place may be another one when it is back, adopted in the meantime.
void Deliverer::unsettle(Lane& lane) {
  std::lock_guard lock(*lane.settling);
  lane.settled = false;
}

// By whichever thread comes first; again after the target was away.
void Deliverer::settle(Lane& lane) {
  std::lock_guard lock(*lane.settling);
  if (lane.settled) return;
  const std::string& name = lane.target->name();
  constexpr std::size_t k_looked_for = 10;
  const auto known = with_database([&] {
    const auto place = deliveries_.place(name, lane.place);
    return KnownPlace{place.database, place.marker, deliveries_.delivered(name, k_looked_for)};
  });
  settle_place(
      *lane.target, known,
      [&](const std::string& marker) { with_database([&] { deliveries_.note_place(name, lane.place, marker); }); },
      ended_.get_token());
  lane.settled = true;
}

void Deliverer::deliver(storage::Target& target, Attempt& attempt) {
  const queue::Delivery& delivery = attempt.delivery;
  Stopwatch watch;
  std::int64_t mtime_ns = 0;
  const Fd build = open_build(store_, delivery, mtime_ns);
  attempt.bytes_sent = target.put({build.get(), delivery.size_bytes, mtime_ns}, delivery.build_id, ended_.get_token());
  attempt.upload_seconds = watch.lap();
  const auto disputed = with_database([&] { return deliveries_.wanted(delivery); });
  if (!disputed) {
    attempt.outcome = queue::DeliveryOutcome::superseded;
    return;
  }
  attempt.disputed = *disputed;
  attempt.switched = true;  // also where the answer is lost
  target.point(link_of(delivery), ended_.get_token());
  attempt.switch_seconds = watch.lap();
}

void Deliverer::remove(storage::Target& target, Attempt& attempt) {
  const queue::Delivery& delivery = attempt.delivery;
  attempt.outcome = queue::DeliveryOutcome::removed;
  Stopwatch watch;
  attempt.switched = true;
  attempt.switched = target.unpoint(link_of(delivery), ended_.get_token());
  attempt.switch_seconds = watch.lap();
  target.remove(delivery.build_id, ended_.get_token());
}

void Deliverer::record(const Attempt& attempt) {
  const auto outcome = with_database([&] { return deliveries_.end(run_id_, attempt); });
  const std::string label = fmt::format("{}/{}", attempt.delivery.series, attempt.delivery.archive);
  if (outcome == queue::DeliveryOutcome::done) {
    log::info("{}: delivered to {} in {:.1f} s", label, attempt.delivery.target, attempt.seconds);
  } else if (outcome == queue::DeliveryOutcome::retry && attempt.error_kind != traits_of(ErrorKind::stopped).code) {
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
                      [&] { return !results_.empty() || (served && looked_for_) || closed_ != closing_; });
    ended = std::exchange(results_, {});
    looked_for_ = false;
    closing_ = closed_;
  }
  for (Attempt& attempt : ended) {
    Lane& lane = lanes_.at(attempt.delivery.target);
    std::erase(lane.under_way, attempt.delivery.build_id);
    const auto kind = error_kind_from_code(attempt.error_kind);
    if (const auto rest = rest_after(attempt.error_kind)) {
      (kind == ErrorKind::target_unwritable ? lane.full_until : lane.away_until) = Clock::now() + *rest;
    }
    // That was no fault of the target, and what was to be done stays due.
    const bool untold = kind == ErrorKind::stopped || kind == ErrorKind::database;
    if (untold && !attempt.switched) continue;
    if (untold) attempt.retry_after_seconds = 0;
    unrecorded_.push_back(std::move(attempt));
  }
}

}  // namespace zipmodule::run
