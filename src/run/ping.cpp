#include "run/ping.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <exception>
#include <memory>

#include "base/error.hpp"
#include "base/freer.hpp"

namespace zipmodule::run {
namespace {

using Easy = std::unique_ptr<CURL, Freer<curl_easy_cleanup>>;
using Address = std::unique_ptr<CURLU, Freer<curl_url_cleanup>>;
using Text = std::unique_ptr<char, Freer<curl_free>>;

// Enough for a move from http to https and to another host.
constexpr long k_most_redirects = 3;

Address parse(const std::string& url) {
  Address address(curl_url());
  if (!address || curl_url_set(address.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    throw Error(ErrorKind::config, "run.ping_url is no address", "such as https://hc-ping.com/your-id");
  }
  return address;
}

// Empty where there is none.
std::string part_of(const Address& address, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(address.get(), which, &text, 0) != CURLUE_OK) return {};
  const Text owned(text);
  return text;
}

std::size_t discard(char* /*data*/, std::size_t size, std::size_t count, void* /*unused*/) { return size * count; }

void limit_protocols(CURL* easy, bool secure) {
  // A secret that was sent encrypted must not follow a redirect in the clear.
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS,
                   secure ? static_cast<long>(CURLPROTO_HTTPS) : static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

std::optional<std::string> call(const std::string& address, const std::string& body, const PingOptions& options) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Easy easy(ready == CURLE_OK ? curl_easy_init() : nullptr);
  if (!easy) return "libcurl can't be used";
  curl_easy_setopt(easy.get(), CURLOPT_URL, address.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);  // other threads are at work
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, &discard);
  curl_easy_setopt(easy.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_MAXREDIRS, k_most_redirects);
  limit_protocols(easy.get(), address.starts_with("https://"));
  if (!body.empty()) {
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_POSTREDIR, CURL_REDIR_POST_ALL);
  }
  // The error buffer would tell more, and could tell the address.
  if (const auto code = curl_easy_perform(easy.get()); code != CURLE_OK) return curl_easy_strerror(code);
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 400) return fmt::format("it answered {}", status);
  return std::nullopt;
}

}  // namespace

std::string ping_address(const std::string& url, Signal signal) {
  const Address address = parse(url);
  if (signal != Signal::success) {
    std::string path = part_of(address, CURLUPART_PATH);
    while (!path.empty() && path.back() == '/') path.pop_back();
    path += signal == Signal::start ? "/start" : "/fail";
    if (curl_url_set(address.get(), CURLUPART_PATH, path.c_str(), 0) != CURLUE_OK)
      throw Error(ErrorKind::config, "run.ping_url is no address", "such as https://hc-ping.com/your-id");
  }
  return part_of(address, CURLUPART_URL);
}

std::string redacted_ping_url(const std::string& url) {
  const Address address(curl_url());
  if (!address || curl_url_set(address.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "no address";
  return fmt::format("{}://{}/...", part_of(address, CURLUPART_SCHEME), part_of(address, CURLUPART_HOST));
}

std::optional<std::string> ping(const std::string& url, Signal signal, const std::string& body,
                                const PingOptions& options) noexcept {
  try {
    return call(ping_address(url, signal), body, options);
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace zipmodule::run
