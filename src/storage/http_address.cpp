#include "storage/http_address.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>

#include "base/freer.hpp"

namespace zipmodule::storage {
namespace {

using Address = std::unique_ptr<CURLU, Freer<curl_url_cleanup>>;
using Text = std::unique_ptr<char, Freer<curl_free>>;

std::string part_of(CURLU* address, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(address, which, &text, flags) != CURLUE_OK) return {};
  const Text owned(text);
  return text;
}

std::string encoded(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
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

}  // namespace

std::string encoded_path(std::string_view path) { return encoded(path, true); }

std::string encoded_part(std::string_view text) { return encoded(text, false); }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool leads_below(const std::string& url, const std::vector<std::string>& places) {
  const auto parts = parts_of(url);
  return parts && std::any_of(places.begin(), places.end(), [&](const std::string& place) {
           const auto allowed = parts_of(place + "/");
           return allowed && allowed->host_and_port == parts->host_and_port && parts->path.starts_with(allowed->path);
         });
}

std::string origin_of(const std::string& url) {
  const Address address(curl_url());
  if (!address || curl_url_set(address.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return "elsewhere";
  }
  const std::string port = part_of(address.get(), CURLUPART_PORT);
  return fmt::format("{}://{}{}{}", part_of(address.get(), CURLUPART_SCHEME), part_of(address.get(), CURLUPART_HOST),
                     port.empty() ? "" : ":", port);
}

bool is_same_with_slash(const std::string& url, const std::string& redirect) {
  const auto asked = parts_of(url + "/");
  return asked && asked == parts_of(redirect);
}

}  // namespace zipmodule::storage
