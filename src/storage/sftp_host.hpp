// The sessions with one SFTP host: opened when they are needed, shared, closed when nobody needs them. Private to
// src/storage.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/threads.hpp"
#include "storage/sftp_session.hpp"

namespace zipmodule::storage {

// Thread-safe.
class SftpHost {
 public:
  explicit SftpHost(SftpOptions options);
  ~SftpHost();

  const SftpOptions& options() const noexcept { return options_; }

  // Calls work(SftpSession&) and returns what it returns. Where the connection is lost in the middle it is called again
  // with another, a few times: so work must be able to go on where it was. `file`: who has it open gets the turn, where
  // that is possible. Waits for a session while all are lent. A host that could not be reached, or that refused us, is
  // not asked again for a while: the error comes at once, so that a dead host does not hold every job for its time-out.
  template <class Work>
  auto with_session(const std::string& file, const std::stop_token& stop, Work work) {
    for (int i = 1;; ++i) {
      auto session = borrow(file, stop);
      try {
        auto answer = work(*session);
        give_back(std::move(session));
        return answer;
      } catch (const Error& error) {
        const bool lost = session->broken() && error.kind() == ErrorKind::source_unreachable;
        give_back(std::move(session), lost);
        if (!lost || i == k_tries) throw;
      } catch (...) {
        give_back(std::move(session));
        throw;
      }
    }
  }

 private:
  using Session = std::unique_ptr<SftpSession>;
  static constexpr int k_tries = 3;

  struct Idle {
    Session session;
    std::chrono::steady_clock::time_point since;
  };
  struct Trouble {
    Error error;
    std::chrono::steady_clock::time_point until;
  };

  Session borrow(const std::string& file, const std::stop_token& stop);
  Session connect(const std::stop_token& stop);
  // `lost`: its connection was.
  void give_back(Session session, bool lost = false) noexcept;
  void forget_limit() noexcept;
  void close_idle(const std::stop_token& stop);

  const SftpOptions options_;

  std::mutex mutex_;
  std::condition_variable_any freed_;
  std::vector<Idle> idle_;  // guarded by mutex_, as below
  unsigned most_;           // sessions; fewer than are allowed where the host takes no more
  std::optional<std::chrono::steady_clock::time_point> lowered_;  // when it became so
  unsigned lent_ = 0;
  unsigned connecting_ = 0;  // of lent_
  std::optional<Trouble> trouble_;

  Thread closer_;  // last: ends before the rest does
};

}  // namespace zipmodule::storage
