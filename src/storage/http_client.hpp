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
#include <vector>

#include "base/error.hpp"
#include "base/freer.hpp"
#include "storage/https_options.hpp"

namespace zipmodule::storage {

struct HttpResponse {
  long status = 0;
  std::string etag;           // RFC 9110, section 8.8.3, with its quotes; empty: none
  std::string last_modified;  // section 8.8.2; empty: none
  // Of the whole: Content-Length (section 8.6), and for a part what Content-Range (section 14.4) tells.
  std::optional<std::uint64_t> size_bytes;
  std::size_t body_bytes = 0;  // put into the buffer
};

// Thread-safe. HTTP/1.1, certificates checked, redirects to the allowed places only. What may be a passing trouble (no
// connection, a connection that breaks, 408, 429, 5xx) is tried again with growing pauses, or after Retry-After, until the
// time-out is over.
//
// Errors, naming `name`: source_missing (404, 410), source_unreadable (401, 403 and other 4xx), source_changed (412, 416),
// source_outside (a redirect to where no root is), source_unreachable, source_refused (certificate), stopped.
class HttpClient {
 public:
  explicit HttpClient(HttpsOptions options);

  HttpResponse head(const std::string& url, const std::string& name, const std::stop_token& stop);
  // The part of `buffer`'s size from `offset` on. Fewer bytes came than asked for only where the whole is shorter, as
  // size_bytes tells.
  HttpResponse get(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                   const std::stop_token& stop);

 private:
  using Handle = std::unique_ptr<CURL, Freer<curl_easy_cleanup>>;
  struct Request;
  struct Answer;

  Answer perform(Request& request, const std::string& name, const std::stop_token& stop);
  Answer try_once(Request& request, const std::stop_token& stop);
  void prepare(CURL* handle, const std::string& url) const;
  bool allowed(const std::string& url) const;
  void require_no_trouble();
  void note_trouble(const Error& error);
  Handle borrow();
  void give_back(Handle handle);

  const HttpsOptions options_;

  std::mutex mutex_;
  std::vector<Handle> idle_;      // guarded by mutex_, as below; each with its connection
  std::optional<Error> trouble_;  // of a server that could not be reached: it is left alone for a while
  std::chrono::steady_clock::time_point trouble_until_;
};

}  // namespace zipmodule::storage
