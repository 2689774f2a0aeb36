// Requests to one web server, over connections that are kept. Private to src/storage.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/freer.hpp"
#include "storage/https_options.hpp"

namespace zipmodule::storage {

struct HttpResponse {
  long status = 0;
  bool folder = false;        // it leads to its own address with a '/' behind it: all else is empty then
  std::string etag;           // RFC 9110, section 8.8.3, with its quotes; empty: none
  std::string last_modified;  // section 8.8.2; empty: none
  // Of the whole: Content-Length (section 8.6), and for a part what Content-Range (section 14.4) tells.
  std::optional<std::uint64_t> size_bytes;
  std::size_t body_bytes = 0;  // put into the buffer
};

// Thread-safe. HTTP/1.1, certificates checked, redirects to the allowed places only. What may be a passing trouble (no
// connection, a connection that breaks, 408, 429, 500, 502 to 504) is tried again with growing pauses, at least once, until
// the time-out is over. A server that could not be reached is left alone for a while: the error comes at once.
//
// Errors, naming `name`: source_missing (404, 410), source_unreadable (401, 403 and others), source_changed (416),
// source_outside (a redirect to where no root is), source_unreachable, source_refused (certificate), stopped.
class HttpClient {
 public:
  explicit HttpClient(HttpsOptions options);

  // Without a buffer a HEAD; with one a GET of the part of its size from `offset` on. A server may answer that with the
  // whole (status 200), of which no more than fits is in the buffer.
  HttpResponse ask(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                   const std::stop_token& stop);

 private:
  using Handle = std::unique_ptr<CURL, Freer<curl_easy_cleanup>>;
  struct Request;
  struct Answer;

  Answer follow(const Request& request, const std::string& url, bool anew);
  Answer try_once(const Request& request, const std::string& url, bool anew);
  void prepare(CURL* handle, const std::string& url) const;
  HttpResponse checked(const Request& request, const Answer& answer) const;
  [[noreturn]] void give_up(const Request& request, const Answer& answer);
  void require_no_trouble(const std::string& name);
  Handle borrow();
  void give_back(Handle handle);

  const HttpsOptions options_;
  const std::unique_ptr<curl_slist, Freer<curl_slist_free_all>> headers_;

  std::mutex mutex_;
  std::vector<Handle> idle_;  // guarded by mutex_, as below; each with its connection
  std::string trouble_;       // why the server could not be reached
  std::chrono::steady_clock::time_point trouble_until_;
};

}  // namespace zipmodule::storage
