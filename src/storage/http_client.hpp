// Requests that are tried again. Private to src/storage.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>

#include "storage/http_transport.hpp"

namespace zipmodule::storage {

// Whether a status tells of trouble that may pass: 408, 429, and from 500 on all but 501 and 505.
bool status_may_pass(long status);

// Waits for half to one and a half of `time`, so that many don't come back at once. Throws Error{stopped}.
void pause_about(std::chrono::milliseconds time, const std::stop_token& stop);

// Thread-safe. What may be a passing trouble (no connection, a connection that breaks, what `may_pass` says of an answer) is
// tried again with growing pauses, or those that the server asks for, at least once, until the time-out is over. A server that
// could not be reached is left alone for a while: the error comes at once.
//
// Errors begin with the name: source_unreachable, source_refused (certificate), source_unreadable (no HTTP), stopped.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options) : transport_(std::move(options)) {}

  const HttpOptions& options() const noexcept { return transport_.options(); }

  // As HttpTransport.
  HttpAnswer try_once(const HttpRequest& request, bool anew, const std::stop_token& stop) {
    return transport_.try_once(request, anew, stop);
  }

  // Has `attempt` try until its answer is one that stays, or time is over: then the last answer is returned.
  using Attempt = std::function<HttpAnswer(bool anew)>;
  using Judge = std::function<bool(const HttpAnswer&)>;
  HttpAnswer persist(const std::string& name, const Attempt& attempt, const Judge& may_pass,
                     const std::stop_token& stop);

 private:
  void require_no_trouble(const std::string& name);
  void note(const HttpAnswer& answer, bool last);

  HttpTransport transport_;

  std::mutex mutex_;
  std::string trouble_;  // guarded by mutex_, as below: why the server could not be reached
  std::chrono::steady_clock::time_point trouble_until_;
};

}  // namespace zipmodule::storage
