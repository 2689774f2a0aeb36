#include "storage/http_transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/http_address.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using HeaderList = std::unique_ptr<curl_slist, Freer<curl_slist_free_all>>;

// Slower than this for half of the time-out is as good as silent: a piece must not take days.
constexpr std::uint64_t k_least_bytes_a_second = 1'024;
// Words are few: a server that takes so many time-outs for them, however busy it looks, will not end.
constexpr int k_timeouts_of_words = 4;
// The largest uploads are completed in minutes.
constexpr int k_timeouts_of_patience = 40;
// What is handed to the system at once: the largest pieces still fit the cache beside what is encrypted.
constexpr long k_upload_buffer_bytes = 512L << 10U;

// What libcurl calls back with. Nothing here throws.
struct Exchange {
  CURL* handle;
  const HttpRequest& request;
  const std::stop_token& stop;
  Deadline deadline;
  bool late = false;
  std::size_t body_bytes = 0;
  std::string words{};
  bool too_long = false;
  std::uint64_t sent = 0;
  int read_error = 0;
  std::uint64_t moved = 0;  // in both directions

  static std::size_t body(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Exchange*>(self)->take({data, size * count}) ? size * count : 0;
  }
  static std::size_t upload(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Exchange*>(self)->give(data, size * count);
  }
  static int rewind(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Exchange*>(self)->sent = static_cast<std::uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }
  static int progress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t given) {
    return static_cast<Exchange*>(self)->may_go_on(static_cast<std::uint64_t>(received + given)) ? 0 : 1;
  }

  bool may_go_on(std::uint64_t bytes) noexcept {
    curl_off_t before_request = 0;
    curl_easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &before_request);
    if (before_request == 0) deadline.begin();  // connecting has a time-out of its own
    if (bytes > moved) deadline.heard(bytes - std::exchange(moved, bytes));
    try {
      late = deadline.passed().has_value();
    } catch (const std::bad_alloc&) {
      late = true;
    }
    return !late && !stop.stop_requested();
  }

  bool take(std::string_view data) noexcept {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    const bool to_buffer = (status == 200 || status == 206) && !request.buffer.empty();
    const std::size_t room = to_buffer ? request.buffer.size() - body_bytes : request.words_most - words.size();
    const std::string_view fits = data.substr(0, room);
    if (to_buffer) {
      std::memcpy(request.buffer.data() + body_bytes, fits.data(), fits.size());
      body_bytes += fits.size();
    } else {
      try {
        words += fits;
      } catch (const std::bad_alloc&) {
        return false;
      }
    }
    too_long = fits.size() < data.size();
    return !too_long;
  }

  std::size_t give(char* data, std::size_t room) noexcept {
    const HttpBody& from = request.body;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(room, from.size() - sent));
    if (from.fd < 0) {
      std::memcpy(data, from.text.data() + sent, size);
    } else {
      const ssize_t got = pread_full(from.fd, std::as_writable_bytes(std::span(data, size)), from.offset + sent);
      if (got != static_cast<ssize_t>(size)) {
        read_error = got < 0 ? errno : ENODATA;
        return CURL_READFUNC_ABORT;
      }
    }
    sent += size;
    return size;
  }
};

void set_method(CURL* easy, const HttpRequest& request, Exchange& exchange) {
  const auto size = static_cast<curl_off_t>(request.body.size());
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "PUT" || request.method == "POST") {
    if (request.method == "PUT") {
      curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
    } else {
      curl_easy_setopt(easy, CURLOPT_POST, 1L);
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
    }
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, k_upload_buffer_bytes);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, &Exchange::upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &Exchange::rewind);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &exchange);
  } else if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

// 0: no end.
std::chrono::milliseconds longest(const HttpRequest& request, std::chrono::milliseconds timeout) {
  if (request.longest.count() > 0) return request.longest;
  if (!request.buffer.empty() || request.body.fd >= 0) return std::chrono::milliseconds(0);
  return timeout * (request.silence.count() > 0 ? k_timeouts_of_patience : k_timeouts_of_words);
}

// Of a time-out, so that there is time for a second try.
std::chrono::seconds half(std::chrono::milliseconds timeout) {
  return std::chrono::ceil<std::chrono::seconds>(timeout / 2);
}

Deadline::Limits limits_of(const HttpRequest& request, std::chrono::milliseconds timeout) {
  const auto end = longest(request, timeout);
  if (request.silence.count() > 0)
    return {request.silence, 0, {}, end};  // some servers send single bytes until they answer
  return {half(timeout), k_least_bytes_a_second, half(timeout), end};
}

HeaderList list_of(const HttpRequest& request) {
  HeaderList list;
  const auto add = [&](const std::string& line) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
  };
  add("Accept-Encoding: identity");
  add("Expect:");  // a server that says no is heard all the same, and one that is asked first costs a round trip
  for (const auto& [name, value] : request.headers) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      throw Error(ErrorKind::internal, fmt::format("{}: a line break in the header {}", request.name, name));
    }
    add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  return list;
}

void read_head(CURL* easy, HttpAnswer& answer) {
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_header* header = nullptr;
  while ((header = curl_easy_nextheader(easy, CURLH_HEADER, -1, header)) != nullptr) {
    answer.headers[lower(header->name)] = header->value;
  }
  curl_off_t value = -1;
  if (curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &value) == CURLE_OK && value >= 0) {
    answer.content_length = static_cast<std::uint64_t>(value);
  }
  if (answer.is_redirect()) {
    char* redirect = nullptr;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
    if (redirect != nullptr) answer.redirect = redirect;
  }
  curl_off_t wait = 0;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK) {
    answer.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(wait, 0, 3'600));
  }
  curl_off_t before_request = 0;
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &before_request);
  answer.connected = before_request > 0;
}

}  // namespace

std::string HttpAnswer::header(const std::string& lower_name) const {
  const auto found = headers.find(lower_name);
  return found == headers.end() ? std::string() : found->second;
}

std::optional<ContentRange> HttpAnswer::content_range() const {
  constexpr std::string_view k_unit = "bytes ";
  const std::string range = header("content-range");
  const std::string_view text = range;
  const auto dash = text.find('-');
  const auto slash = text.find('/');
  if (!text.starts_with(k_unit) || dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = number_of(text.substr(k_unit.size(), dash - k_unit.size()));
  const auto last = number_of(text.substr(dash + 1, slash - dash - 1));
  const auto whole = number_of(text.substr(slash + 1));
  if (!first || !last || !whole) return std::nullopt;
  return ContentRange{*first, *last, *whole};
}

HttpTransport::HttpTransport(HttpOptions options) : options_(std::move(options)) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw Error(ErrorKind::internal, "libcurl can't be initialized");
}

HttpTransport::Handle HttpTransport::borrow() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Handle handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  Handle handle(curl_easy_init());
  if (!handle) throw std::bad_alloc();
  return handle;
}

void HttpTransport::give_back(Handle handle) {
  curl_easy_reset(handle.get());  // keeps its connections
  std::lock_guard lock(mutex_);
  if (idle_.size() < options_.connections) idle_.push_back(std::move(handle));
}

void HttpTransport::prepare(CURL* handle, const HttpRequest& request) const {
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, options_.plain ? "http,https" : "https");
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // a stop does not wait for the name's resolver
  if (options_.direct) curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  if (!options_.ca.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, options_.ca.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);  // and nobody else's
  }
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(half(options_.timeout).count()));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "zipmodule");
}

HttpAnswer HttpTransport::try_once(const HttpRequest& request, bool anew, const std::stop_token& stop) {
  const HeaderList headers = list_of(request);
  Handle handle = borrow();
  CURL* const easy = handle.get();
  Exchange exchange{easy, request, stop, Deadline(limits_of(request, options_.timeout))};
  prepare(easy, request);
  set_method(easy, request, exchange);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, anew ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &Exchange::progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  HttpAnswer answer;
  answer.code = curl_easy_perform(easy);
  if (exchange.read_error != 0) {
    throw Error(ErrorKind::io,
                fmt::format("{}: the local file can't be read: {}", request.name, errno_text(exchange.read_error)));
  }
  if (answer.code == CURLE_ABORTED_BY_CALLBACK) {
    if (stop.stop_requested() || !exchange.late) throw stopped_waiting();
    answer.code = CURLE_OPERATION_TIMEDOUT;
  }
  if (exchange.too_long && answer.code == CURLE_WRITE_ERROR) answer.code = CURLE_OK;
  read_head(easy, answer);
  answer.body_bytes = exchange.body_bytes;
  answer.words = std::move(exchange.words);
  answer.too_long = exchange.too_long;
  give_back(std::move(handle));
  return answer;
}

}  // namespace zipmodule::storage
