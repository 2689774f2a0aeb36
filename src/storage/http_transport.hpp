// One request to a web server and its answer, over connections that are kept. Private to src/storage.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/freer.hpp"

namespace zipmodule::storage {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpOptions {
  std::filesystem::path ca;                   // certificates that are trusted, PEM; empty: the system's
  bool plain = false;                         // http:// as well as https://
  bool direct = false;                        // never by a proxy
  unsigned connections = 8;                   // that are kept, at most
  std::chrono::milliseconds timeout{30'000};  // the longest silence, and how long it is tried again
};

// What is sent: a text, or a part of a file.
struct HttpBody {
  std::string text;
  int fd = -1;  // not owned
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;

  std::uint64_t size() const noexcept { return fd >= 0 ? size_bytes : text.size(); }
};

struct HttpRequest {
  std::string name;  // who asks, for messages: "source media:a/b", "target mirror: a/b"
  std::string method = "GET";
  std::string url;
  HttpHeaders headers;
  HttpBody body;  // of PUT and POST
  // Where the body of a success goes; more than fits is not read.
  std::span<std::byte> buffer = {};
  // Where there is no buffer, and for the body of what is no success: so much of it becomes HttpAnswer::words.
  std::size_t words_most = std::size_t{64} << 10U;
  // An answer that may be a long time in the making: the longest silence before it, where not half of the time-out.
  std::chrono::seconds silence{0};
  // The most that all of it may take; 0: four times the time-out where words are awaited and no file is sent, forty times
  // with a longer silence, and no end where the bytes of a file come or go.
  std::chrono::milliseconds longest{0};
};

// RFC 9110, section 14.4: "bytes 0-99/1234"
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t whole = 0;
};

struct HttpAnswer {
  CURLcode code = CURLE_OK;
  long status = 0;
  std::map<std::string, std::string> headers;  // by names in lower case; of those that repeat, the last
  std::size_t body_bytes = 0;                  // put into the buffer
  std::string words;
  bool too_long = false;                        // there was more than was taken
  std::optional<std::uint64_t> content_length;  // RFC 9110, section 8.6
  std::string redirect;                         // the whole address; empty: none
  std::chrono::milliseconds retry_after{0};
  bool connected = false;
  bool redirected = false;  // it comes from another place than was asked, which no transport does by itself

  bool answered() const noexcept { return code == CURLE_OK; }
  bool is_success() const noexcept { return status >= 200 && status < 300; }
  bool is_redirect() const noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  }
  std::string header(const std::string& lower_name) const;  // empty: none
  std::optional<ContentRange> content_range() const;        // nullopt: none that can be understood
};

// Thread-safe. HTTP/1.1, certificates checked, redirects not followed.
class HttpTransport {
 public:
  explicit HttpTransport(HttpOptions options);

  const HttpOptions& options() const noexcept { return options_; }

  // `anew`: by a new connection, for what broke may have been the old one. Throws Error{stopped}, and Error{io} where the
  // file that is sent can't be read.
  HttpAnswer try_once(const HttpRequest& request, bool anew, const std::stop_token& stop);

 private:
  using Handle = std::unique_ptr<CURL, Freer<curl_easy_cleanup>>;

  void prepare(CURL* handle, const HttpRequest& request) const;
  Handle borrow();
  void give_back(Handle handle);

  const HttpOptions options_;

  std::mutex mutex_;
  std::vector<Handle> idle_;  // guarded by mutex_; each with its connection
};

}  // namespace zipmodule::storage
