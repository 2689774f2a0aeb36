#include "storage/http_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds k_first_pause{200};
constexpr Milliseconds k_longest_pause{5'000};
constexpr int k_most_redirects = 3;
// How long a server that could not be reached is not asked again.
constexpr std::chrono::seconds k_trouble{20};

bool may_pass(long status) { return status == 408 || status == 429 || status >= 500; }

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 0-99/1234"
std::optional<std::uint64_t> whole_of(std::string_view content_range) {
  const auto slash = content_range.rfind('/');
  return slash == std::string_view::npos ? std::nullopt : number(content_range.substr(slash + 1));
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

}  // namespace

// What is asked for, and where the body goes.
struct HttpClient::Request {
  std::string url;
  bool body = false;
  std::uint64_t offset = 0;
  std::span<std::byte> buffer;
};

// Of one try.
struct HttpClient::Answer {
  HttpResponse response;
  CURLcode code = CURLE_OK;
  std::string problem;  // libcurl's words
  std::string redirect;
  std::optional<Milliseconds> retry_after;

  // while it comes
  const Request* request = nullptr;
  const std::stop_token* stop = nullptr;
  std::optional<std::uint64_t> content_length;

  static std::size_t header(char* data, std::size_t size, std::size_t count, void* self) {
    static_cast<Answer*>(self)->note_header({data, size * count});
    return size * count;
  }
  static std::size_t body(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Answer*>(self)->take({data, size * count}) ? size * count : 0;
  }
  static int progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Answer*>(self)->stop->stop_requested() ? 1 : 0;
  }

  void note_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // also of an interim answer
      response = {};
      content_length.reset();
      const auto blank = line.find(' ');
      response.status = static_cast<long>(number(trimmed(line.substr(blank + 1, 3))).value_or(0));
      return;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string field(line.substr(0, colon));
    std::transform(field.begin(), field.end(), field.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (field == "etag") response.etag = value;
    if (field == "last-modified") response.last_modified = value;
    if (field == "content-length") content_length = number(value);
    if (field == "content-range") response.size_bytes = whole_of(value);
    if (field == "retry-after") {
      if (const auto seconds = number(value)) retry_after = std::chrono::seconds(std::min<std::uint64_t>(*seconds, 3'600));
    }
  }
  bool take(std::string_view data) {
    if (response.status != 200 && response.status != 206) return true;  // what it says to people
    if (response.body_bytes + data.size() > request->buffer.size()) return false;
    std::memcpy(request->buffer.data() + response.body_bytes, data.data(), data.size());
    response.body_bytes += data.size();
    return true;
  }
};

HttpClient::HttpClient(HttpsOptions options) : options_(std::move(options)) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw Error(ErrorKind::internal, "libcurl can't be initialized");
}

HttpClient::Handle HttpClient::borrow() {
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

void HttpClient::give_back(Handle handle) {
  curl_easy_reset(handle.get());  // keeps its connections
  std::lock_guard lock(mutex_);
  if (idle_.size() < options_.connections) idle_.push_back(std::move(handle));
}

bool HttpClient::allowed(const std::string& url) const {
  return std::any_of(options_.places.begin(), options_.places.end(),
                     [&](const std::string& place) { return url.starts_with(place + "/"); });
}

void HttpClient::prepare(CURL* handle, const std::string& url) const {
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
#else
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTPS));
#endif
  if (!options_.ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options_.ca.c_str());
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options_.timeout).count();
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(seconds));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(seconds));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "zipmodule");
}

HttpClient::Answer HttpClient::try_once(Request& request, const std::stop_token& stop) {
  Answer answer;
  answer.request = &request;
  answer.stop = &stop;
  Handle handle = borrow();
  prepare(handle.get(), request.url);
  curl_easy_setopt(handle.get(), CURLOPT_HEADERFUNCTION, &Answer::header);
  curl_easy_setopt(handle.get(), CURLOPT_HEADERDATA, &answer);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, &Answer::body);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(handle.get(), CURLOPT_XFERINFOFUNCTION, &Answer::progress);
  curl_easy_setopt(handle.get(), CURLOPT_XFERINFODATA, &answer);
  curl_easy_setopt(handle.get(), CURLOPT_NOPROGRESS, 0L);
  const std::string range = fmt::format("{}-{}", request.offset, request.offset + request.buffer.size() - 1);
  if (request.body)
    curl_easy_setopt(handle.get(), CURLOPT_RANGE, range.c_str());
  else
    curl_easy_setopt(handle.get(), CURLOPT_NOBODY, 1L);
  answer.code = curl_easy_perform(handle.get());
  if (answer.code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorKind::stopped, "waiting for a host was stopped");
  if (answer.code != CURLE_OK) answer.problem = curl_easy_strerror(answer.code);
  char* redirect = nullptr;
  curl_easy_getinfo(handle.get(), CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) answer.redirect = redirect;
  if (answer.response.status != 206) answer.response.size_bytes = answer.content_length;
  give_back(std::move(handle));
  return answer;
}

// So that a dead server does not hold every job for its time-out.
void HttpClient::require_no_trouble() {
  std::lock_guard lock(mutex_);
  if (trouble_ && Clock::now() < trouble_until_) throw Error(*trouble_);
}

void HttpClient::note_trouble(const Error& error) {
  std::lock_guard lock(mutex_);
  trouble_.emplace(error);
  trouble_until_ = Clock::now() + k_trouble;
}

HttpClient::Answer HttpClient::perform(Request& request, const std::string& name, const std::stop_token& stop) {
  require_no_trouble();
  const auto until = Clock::now() + options_.timeout;
  int redirects = 0;
  for (auto time = k_first_pause;;) {
    Answer answer = try_once(request, stop);
    // A server that has more to send than was asked for: it says so by its status.
    if (answer.code == CURLE_WRITE_ERROR) answer.code = CURLE_OK;
    if (answer.code == CURLE_OK && is_redirect(answer.response.status)) {
      if (!allowed(answer.redirect) || ++redirects > k_most_redirects) {
        throw Error(ErrorKind::source_outside, fmt::format("source {} is redirected to where no root is", name),
                    "name the place it leads to as a root, or list it from there");
      }
      request.url = answer.redirect;
      continue;
    }
    if (answer.code == CURLE_OK && !may_pass(answer.response.status)) return answer;
    if (answer.code == CURLE_PEER_FAILED_VERIFICATION || answer.code == CURLE_SSL_CACERT_BADFILE) {
      throw Error(ErrorKind::source_refused, fmt::format("source {}: {}", name, answer.problem),
                  "the server's certificate is not trusted: mend it there, or name its authority with 'ca'");
    }
    const auto wait = answer.retry_after.value_or(with_jitter(time));
    if (Clock::now() + wait > until) {
      const bool answered = answer.code == CURLE_OK;
      const Error error(ErrorKind::source_unreachable,
                        fmt::format("source {}: {}", name,
                                    answered ? fmt::format("the server answers {}", answer.response.status)
                                             : answer.problem),
                        "look whether the server is up and can be reached from here");
      if (!answered) note_trouble(error);
      throw Error(error);
    }
    if (!pause(wait, stop)) throw Error(ErrorKind::stopped, "waiting for a host was stopped");
    time = std::min(2 * time, k_longest_pause);
  }
}

namespace {

void require_success(long status, const std::string& name) {
  if (status == 200 || status == 206) return;
  const std::string text = fmt::format("source {}: the server answers {}", name, status);
  if (status == 404 || status == 410) {
    throw Error(ErrorKind::source_missing, text, "put it there, or publish a list without it");
  }
  if (status == 412 || status == 416) throw Error(ErrorKind::source_changed, text, "publish when its writer is finished");
  throw Error(ErrorKind::source_unreadable, text, "let this host read it there");
}

}  // namespace

HttpResponse HttpClient::head(const std::string& url, const std::string& name, const std::stop_token& stop) {
  Request request;
  request.url = url;
  const Answer answer = perform(request, name, stop);
  require_success(answer.response.status, name);
  return answer.response;
}

HttpResponse HttpClient::get(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer,
                             const std::string& name, const std::stop_token& stop) {
  Request request{url, true, offset, buffer};
  const Answer answer = perform(request, name, stop);
  require_success(answer.response.status, name);
  // A server may answer a range with the whole (RFC 9110, section 14.2).
  const bool whole = offset == 0 && answer.response.size_bytes == buffer.size();
  if (answer.response.status == 200 && !whole) {
    throw Error(ErrorKind::source_unreadable, fmt::format("source {}: the server does not send parts of it", name),
                "have the server support ranges");
  }
  return answer.response;
}

}  // namespace zipmodule::storage
