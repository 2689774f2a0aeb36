#include "storage/sftp_host.hpp"

#include <algorithm>
#include <exception>
#include <iterator>

#include "base/log.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;

// A session that nobody needs is closed after this time: long enough for the gap between two jobs of a run.
constexpr std::chrono::seconds k_idle{5};
// How long a host that could not be reached or refused us is not asked again.
constexpr std::chrono::seconds k_trouble{20};
// sshd drops some of the connections beyond ten that have not logged in yet (MaxStartups 10:30:100), of all its
// clients.
constexpr unsigned k_connecting_most = 8;

}  // namespace

SftpHost::SftpHost(SftpOptions options)
    : options_(std::move(options)),
      most_(options_.sessions),
      closer_(start_thread("idle SFTP sessions", [this](const std::stop_token& stop) { close_idle(stop); })) {}

SftpHost::~SftpHost() = default;

SftpHost::Session SftpHost::borrow(const std::string& file, const std::stop_token& stop) {
  for (;;) {
    {
      if (stop.stop_requested()) throw stopped_waiting();
      std::unique_lock lock(mutex_);
      if (lowered_ && Clock::now() > *lowered_ + k_trouble) forget_limit();
      const auto may_connect = [&] { return lent_ < most_ && connecting_ < k_connecting_most; };
      const auto in_trouble = [&] { return trouble_ && Clock::now() < trouble_->until; };
      const auto may_go_on = [&] { return in_trouble() || !idle_.empty() || may_connect(); };
      if (!freed_.wait(lock, stop, may_go_on)) throw stopped_waiting();
      if (in_trouble()) throw Error(trouble_->error);
      if (!idle_.empty()) {
        auto best =
            std::find_if(idle_.begin(), idle_.end(), [&](const Idle& one) { return one.session->is_open(file); });
        if (best == idle_.end()) best = idle_.end() - 1;
        Session session = std::move(best->session);
        idle_.erase(best);
        ++lent_;
        session->lend_to(stop);
        return session;
      }
      ++lent_;
      ++connecting_;
    }
    if (auto session = connect(stop)) return session;
  }
}

// Null where the host takes no more than the sessions that there are.
SftpHost::Session SftpHost::connect(const std::stop_token& stop) {
  Session session;
  std::optional<Error> problem;
  try {
    session = std::make_unique<SftpSession>(options_, stop);
  } catch (const Error& error) {
    problem = error;
  } catch (const std::exception& error) {
    problem.emplace(ErrorKind::internal, error.what());
  }
  std::lock_guard lock(mutex_);
  --connecting_;
  freed_.notify_all();
  if (session) return session;
  --lent_;
  if (problem->kind() == ErrorKind::stopped) throw Error(*problem);
  // Those that are connecting still, too: if they fail as well, the last of them tells.
  const unsigned others = lent_ + static_cast<unsigned>(idle_.size());
  if (others > 0) {
    log::info("{}; going on with {} sessions", problem->what(), others);
    most_ = others;
    lowered_ = Clock::now();
    return nullptr;
  }
  forget_limit();
  trouble_.emplace(Trouble{*problem, Clock::now() + k_trouble});
  throw Error(*problem);
}

void SftpHost::forget_limit() noexcept {
  most_ = options_.sessions;
  lowered_.reset();
}

void SftpHost::give_back(Session session, bool lost) noexcept {
  std::vector<Idle> doubtful;
  {
    std::lock_guard lock(mutex_);
    --lent_;
    // Whatever ended this one may have ended those, too.
    if (lost) doubtful = std::exchange(idle_, {});
    if (!session->broken()) {
      session->lend_to({});
      idle_.push_back({std::move(session), Clock::now()});
    }
  }
  freed_.notify_all();
}

void SftpHost::close_idle(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto old = std::stable_partition(idle_.begin(), idle_.end(),
                                           [](const Idle& one) { return Clock::now() - one.since < k_idle; });
    std::vector<Idle> closed(std::make_move_iterator(old), std::make_move_iterator(idle_.end()));
    idle_.erase(old, idle_.end());
    lock.unlock();
    closed.clear();
    lock.lock();
    freed_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
  }
}

}  // namespace zipmodule::storage
