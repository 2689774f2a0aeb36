#include "storage/http_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <random>

#include "base/error.hpp"
#include "base/threads.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds k_first_pause{200};
constexpr Milliseconds k_longest_pause{5'000};
// How long a server that could not be reached is not asked again.
constexpr std::chrono::seconds k_trouble{20};

bool is_unresolved(CURLcode code) { return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY; }

bool no_connection(CURLcode code) { return is_unresolved(code) || code == CURLE_COULDNT_CONNECT; }

bool code_may_pass(CURLcode code) {
  return no_connection(code) || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE ||
         code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
         code == CURLE_SSL_CONNECT_ERROR;
}

bool pause(Milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Milliseconds with_jitter(Milliseconds time) {
  thread_local std::minstd_rand random(std::random_device{}());
  return Milliseconds(std::uniform_int_distribution<Milliseconds::rep>(time.count() / 2, time.count() * 3 / 2)(random));
}

// Where there was no answer.
Error failure(const std::string& name, CURLcode code) {
  const std::string text = fmt::format("{}: {}", name, curl_easy_strerror(code));
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    return {ErrorKind::source_refused, text,
            "the server's certificate is not trusted: mend it there, or name its authority with 'ca'"};
  }
  if (!code_may_pass(code)) {
    return {ErrorKind::source_unreadable, text, "look at it with another client, such as curl"};
  }
  return {ErrorKind::source_unreachable, text, "look whether the server is up and can be reached from here"};
}

}  // namespace

bool status_may_pass(long status) {
  return status == 408 || status == 429 ||
         (status >= 500 && status != 501 && status != 505 && status != 507);  // 507: no space
}

void pause_about(Milliseconds time, const std::stop_token& stop) {
  if (!pause(with_jitter(time), stop)) throw stopped_waiting();
}

void HttpClient::require_no_trouble(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (trouble_.empty() || Clock::now() >= trouble_until_) return;
  throw Error(ErrorKind::source_unreachable, fmt::format("{}: {}", name, trouble_),
              "look whether the server is up and can be reached from here");
}

void HttpClient::note(const HttpAnswer& answer, bool last) {
  std::lock_guard lock(mutex_);
  if (answer.answered()) {
    trouble_.clear();
  } else if (last && !answer.redirected && (no_connection(answer.code) || !answer.connected)) {
    trouble_ = curl_easy_strerror(answer.code);
    trouble_until_ = Clock::now() + k_trouble;
  }
}

HttpAnswer HttpClient::persist(const std::string& name, const Attempt& attempt, const Judge& may_pass,
                               const std::stop_token& stop) {
  require_no_trouble(name);
  const auto timeout = options().timeout;
  const auto until = Clock::now() + timeout;
  auto time = k_first_pause;
  bool anew = false;
  for (int tries = 1;; ++tries) {
    HttpAnswer answer = attempt(anew);
    anew = !answer.answered();
    // libcurl resolves names on a thread of its own, and does not say that it could not start it.
    if (is_unresolved(answer.code)) start_thread("resolving names", [](const std::stop_token&) {});
    note(answer, false);
    if (answer.answered() && !may_pass(answer)) return answer;
    if (!answer.answered() && !code_may_pass(answer.code)) throw failure(name, answer.code);
    const auto wait = std::max(answer.retry_after, with_jitter(time));
    const bool late = Clock::now() + wait > until;
    if (late && (tries > 1 || answer.retry_after > timeout)) {
      note(answer, true);
      if (answer.answered()) return answer;
      throw failure(name, answer.code);
    }
    if (!pause(wait, stop)) throw stopped_waiting();
    time = std::min(2 * time, k_longest_pause);
  }
}

}  // namespace zipmodule::storage
