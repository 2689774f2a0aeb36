#include "storage/http_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <random>
#include <string_view>

#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using Address = std::unique_ptr<CURLU, Freer<curl_url_cleanup>>;
using Text = std::unique_ptr<char, Freer<curl_free>>;

constexpr Milliseconds k_first_pause{200};
constexpr Milliseconds k_longest_pause{5'000};
constexpr int k_most_redirects = 3;
// How long a server that could not be reached is not asked again.
constexpr std::chrono::seconds k_trouble{20};
// Slower than this for half of the time-out is as good as silent: a piece must not take days.
constexpr long k_least_bytes_a_second = 1'024;
// What a server says to people, with a status that is no success.
constexpr std::size_t k_words_bytes = std::size_t{64} << 10U;

bool may_pass(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool is_success(long status) { return status == 200 || status == 206; }

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool no_connection(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT;
}

bool may_pass(CURLcode code) {
  return no_connection(code) || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE ||
         code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
         code == CURLE_SSL_CONNECT_ERROR;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// RFC 9110, section 14.4.
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t whole = 0;
};

// "bytes 0-99/1234"
std::optional<ContentRange> content_range(std::string_view text) {
  constexpr std::string_view k_unit = "bytes ";
  const auto dash = text.find('-');
  const auto slash = text.find('/');
  if (!text.starts_with(k_unit) || dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = number(text.substr(k_unit.size(), dash - k_unit.size()));
  const auto last = number(text.substr(dash + 1, slash - dash - 1));
  const auto whole = number(text.substr(slash + 1));
  if (!first || !last || !whole) return std::nullopt;
  return ContentRange{*first, *last, *whole};
}

std::string header(CURL* handle, const char* name) {
  curl_header* found = nullptr;
  return curl_easy_header(handle, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : "";
}

std::string part_of(CURLU* address, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(address, which, &text, flags) != CURLUE_OK) return {};
  const Text owned(text);
  return text;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// What two addresses are compared by.
struct Parts {
  std::string host_and_port;
  std::string path;
  bool operator==(const Parts&) const = default;
};

// nullopt for what is no https address, or has a path that servers may take for another one.
std::optional<Parts> parts_of(const std::string& url) {
  const Address address(curl_url());
  if (!address || curl_url_set(address.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return std::nullopt;
  }
  if (part_of(address.get(), CURLUPART_SCHEME) != "https" || !part_of(address.get(), CURLUPART_USER).empty()) {
    return std::nullopt;
  }
  Parts parts{
      lower(part_of(address.get(), CURLUPART_HOST)) + ":" + part_of(address.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT),
      part_of(address.get(), CURLUPART_PATH)};
  std::string seen = lower(parts.path);
  for (const char* hidden : {"%2f", "%5c", "\\"}) {
    if (seen.find(hidden) != std::string::npos) return std::nullopt;
  }
  for (std::size_t at = 0; (at = seen.find("%2e", at)) != std::string::npos;) seen.replace(at, 3, ".");
  seen += '/';
  if (seen.find("/./") != std::string::npos || seen.find("/../") != std::string::npos) return std::nullopt;
  return parts;
}

bool below(const std::string& url, const std::vector<std::string>& places) {
  const auto parts = parts_of(url);
  return parts && std::any_of(places.begin(), places.end(), [&](const std::string& place) {
           const auto allowed = parts_of(place + "/");
           return allowed && allowed->host_and_port == parts->host_and_port && parts->path.starts_with(allowed->path);
         });
}

bool is_same_with_slash(const std::string& url, const std::string& redirect) {
  const auto asked = parts_of(url + "/");
  return asked && asked == parts_of(redirect);
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
  std::uint64_t offset = 0;
  std::span<std::byte> buffer;
  const std::string& name;
  const std::stop_token& stop;
};

// Of one try.
struct HttpClient::Answer {
  CURLcode code = CURLE_OK;
  HttpResponse response;
  std::optional<ContentRange> range;
  std::string content_encoding;
  std::string redirect;
  Milliseconds retry_after{0};
  bool connected = false;
  bool redirected = false;

  bool answered() const noexcept { return code == CURLE_OK; }
};

namespace {

// What libcurl calls back with. Nothing here throws.
struct Receiver {
  CURL* handle;
  std::span<std::byte> buffer;
  const std::stop_token& stop;
  std::size_t body_bytes = 0;
  std::size_t words_bytes = 0;

  static std::size_t body(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Receiver*>(self)->take({data, size * count}) ? size * count : 0;
  }
  static int progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Receiver*>(self)->stop.stop_requested() ? 1 : 0;
  }

  bool take(std::string_view data) noexcept {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    if (!is_success(status)) return (words_bytes += data.size()) <= k_words_bytes;
    const std::size_t fits = std::min(data.size(), buffer.size() - body_bytes);
    std::memcpy(buffer.data() + body_bytes, data.data(), fits);
    body_bytes += fits;
    return fits == data.size();
  }
};

}  // namespace

HttpClient::HttpClient(HttpsOptions options)
    : options_(std::move(options)), headers_(curl_slist_append(nullptr, "Accept-Encoding: identity")) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK || !headers_) throw Error(ErrorKind::internal, "libcurl can't be initialized");
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

void HttpClient::prepare(CURL* handle, const std::string& url) const {
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // a stop does not wait for the name's resolver
  if (!options_.ca.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, options_.ca.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);  // and nobody else's
  }
  // Half of the time-out, so that there is time for a second try.
  const auto seconds = static_cast<long>(std::chrono::ceil<std::chrono::seconds>(options_.timeout / 2).count());
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, seconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, k_least_bytes_a_second);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, seconds);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "zipmodule");
}

// `anew`: by a new connection, for what broke may have been the old one.
HttpClient::Answer HttpClient::try_once(const Request& request, const std::string& url, bool anew) {
  Handle handle = borrow();
  CURL* const easy = handle.get();
  Receiver receiver{easy, request.buffer, request.stop};
  prepare(easy, url);
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, anew ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Receiver::body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &receiver);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &Receiver::progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &receiver);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  const std::string range = fmt::format("{}-{}", request.offset, request.offset + request.buffer.size() - 1);
  if (request.buffer.empty())
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  else
    curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
  Answer answer;
  answer.code = curl_easy_perform(easy);
  if (answer.code == CURLE_ABORTED_BY_CALLBACK) throw stopped_waiting();
  HttpResponse& response = answer.response;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
  // More than was asked for, or too many words: the status tells which.
  if (answer.code == CURLE_WRITE_ERROR && response.status != 206) answer.code = CURLE_OK;
  response.etag = header(easy, "ETag");
  response.last_modified = header(easy, "Last-Modified");
  response.body_bytes = receiver.body_bytes;
  curl_off_t value = -1;
  if (response.status == 206) {
    answer.range = content_range(header(easy, "Content-Range"));
    if (answer.range) response.size_bytes = answer.range->whole;
  } else if (curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &value) == CURLE_OK && value >= 0) {
    response.size_bytes = static_cast<std::uint64_t>(value);
  }
  answer.content_encoding = header(easy, "Content-Encoding");
  if (is_redirect(response.status)) {
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
  give_back(std::move(handle));
  return answer;
}

// From the beginning, each time: where it leads may be another place by now.
HttpClient::Answer HttpClient::follow(const Request& request, const std::string& url, bool anew) {
  std::string at = url;
  for (int redirects = 0;; ++redirects) {
    Answer answer = try_once(request, at, anew);
    answer.redirected = redirects > 0;
    if (!answer.answered() || !is_redirect(answer.response.status)) return answer;
    if (is_same_with_slash(at, answer.redirect)) {
      answer.response = {};
      answer.response.folder = true;
      return answer;
    }
    if (answer.redirect.empty() || redirects == k_most_redirects) {
      throw Error(ErrorKind::source_unreadable,
                  fmt::format("source {} is redirected {}", request.name,
                              answer.redirect.empty() ? "to nowhere" : "again and again"),
                  "look at it with a browser");
    }
    if (!below(answer.redirect, options_.places)) {
      throw Error(ErrorKind::source_outside, fmt::format("source {} is redirected to where no root is", request.name),
                  "name the place it leads to as a root, or list it from there");
    }
    at = answer.redirect;
  }
}

void HttpClient::require_no_trouble(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (trouble_.empty() || Clock::now() >= trouble_until_) return;
  throw Error(ErrorKind::source_unreachable, fmt::format("source {}: {}", name, trouble_),
              "look whether the server is up and can be reached from here");
}

// After the last try.
void HttpClient::give_up(const Request& request, const Answer& answer) {
  if (answer.answered()) {
    throw Error(answer.response.status == 500 ? ErrorKind::source_unreadable : ErrorKind::source_unreachable,
                fmt::format("source {}: the server answers {}", request.name, answer.response.status),
                "look into the server's log");
  }
  const std::string problem = curl_easy_strerror(answer.code);
  if (!answer.redirected && (no_connection(answer.code) || !answer.connected)) {
    std::lock_guard lock(mutex_);
    trouble_ = problem;
    trouble_until_ = Clock::now() + k_trouble;
  }
  throw Error(ErrorKind::source_unreachable, fmt::format("source {}: {}", request.name, problem),
              "look whether the server is up and can be reached from here");
}

HttpResponse HttpClient::ask(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer,
                             const std::string& name, const std::stop_token& stop) {
  require_no_trouble(name);
  const Request request{offset, buffer, name, stop};
  const auto until = Clock::now() + options_.timeout;
  auto time = k_first_pause;
  for (int tries = 1;; ++tries) {
    const Answer answer = follow(request, url, tries > 1);
    if (answer.answered()) {
      std::lock_guard lock(mutex_);
      trouble_.clear();
    }
    if (answer.answered() ? !may_pass(answer.response.status) : !may_pass(answer.code)) return checked(request, answer);
    const auto wait = std::max(answer.retry_after, with_jitter(time));
    const bool late = Clock::now() + wait > until;
    if (late && (tries > 1 || answer.retry_after > options_.timeout)) give_up(request, answer);
    if (!pause(wait, stop)) throw stopped_waiting();
    time = std::min(2 * time, k_longest_pause);
  }
}

// What is no passing trouble.
HttpResponse HttpClient::checked(const Request& request, const Answer& answer) const {
  const auto unreadable = [&](const std::string& what, const std::string& hint) {
    return Error(ErrorKind::source_unreadable, fmt::format("source {}: {}", request.name, what), hint);
  };
  if (!answer.answered()) {
    const std::string problem = curl_easy_strerror(answer.code);
    if (answer.code == CURLE_PEER_FAILED_VERIFICATION || answer.code == CURLE_SSL_CACERT_BADFILE) {
      throw Error(ErrorKind::source_refused, fmt::format("source {}: {}", request.name, problem),
                  "the server's certificate is not trusted: mend it there, or name its authority with 'ca'");
    }
    throw unreadable(problem, "look at it with another client, such as curl");
  }
  const HttpResponse& response = answer.response;
  if (response.folder) return response;
  if (!is_success(response.status)) {
    const std::string text = fmt::format("the server answers {}", response.status);
    if (response.status == 404 || response.status == 410) {
      throw Error(ErrorKind::source_missing, fmt::format("source {}: {}", request.name, text),
                  "put it there, or publish a list without it");
    }
    if (response.status == 416) {
      throw Error(ErrorKind::source_changed, fmt::format("source {}: {}", request.name, text),
                  "publish when its writer is finished");
    }
    throw unreadable(text, "let this host read it there");
  }
  if (!answer.content_encoding.empty() && lower(answer.content_encoding) != "identity") {
    throw unreadable("the server sends it compressed or in another encoding", "have it send files as they are");
  }
  if (response.status == 206) {
    const auto& range = answer.range;
    const std::uint64_t end = request.offset + request.buffer.size();
    if (!range || range->first != request.offset || range->last + 1 != std::min(end, range->whole)) {
      throw unreadable("the server sends another part than was asked for", "look at caches in between");
    }
  }
  return response;
}

}  // namespace zipmodule::storage
