#include "config/place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace zipmodule::config {
namespace {

constexpr std::string_view k_scheme = "sftp://";
// A path that begins so is relative to where the login begins.
constexpr std::string_view k_login_folder = "/~/";

constexpr const char* k_not_plain = "has blanks or other bytes that a URL can't hold";

// A prefix is a part of keys, which are bytes: blanks and letters of any language too.
bool has_controls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

bool is_plain(std::string_view url) {
  return std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// Of "host", "host:port", "[address]:port".
bool valid_port(std::string_view authority) {
  const auto colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.ends_with(']')) return true;
  const std::string_view port = authority.substr(colon + 1);
  unsigned number = 0;
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
  return colon > 0 && problem == std::errc() && end == port.data() + port.size() && number >= 1 && number <= 65'535;
}

std::string url_of(const SftpPlace& place) {
  const bool six = place.host.find(':') != std::string::npos;
  return fmt::format("{}{}@{}{}{}{}{}{}", k_scheme, place.user, six ? "[" : "", place.host, six ? "]" : "",
                     place.port == 22 ? "" : fmt::format(":{}", place.port), place.folder.starts_with('/') ? "" : "/~/",
                     place.folder);
}

}  // namespace

std::string to_string(const Place& place) {
  if (const auto* folder = std::get_if<std::filesystem::path>(&place)) return folder->string();
  if (const auto* https = std::get_if<HttpsPlace>(&place)) return https->url;
  if (const auto* s3 = std::get_if<S3Place>(&place)) {
    return fmt::format("s3://{}{}{}", s3->bucket, s3->prefix.empty() ? "" : "/", s3->prefix);
  }
  return url_of(std::get<SftpPlace>(place));
}

std::string address_of(const Place& place) {
  const auto* s3 = std::get_if<S3Place>(&place);
  return s3 != nullptr && !s3->endpoint.empty() ? fmt::format("{} at {}", to_string(place), s3->endpoint)
                                                : to_string(place);
}

std::string parse_https_url(std::string_view url, HttpsPlace& to) {
  constexpr std::string_view k_https = "https://";
  if (!is_plain(url)) return k_not_plain;
  while (url.size() > k_https.size() && url.back() == '/') url.remove_suffix(1);
  const std::string_view authority = url.substr(k_https.size(), url.find('/', k_https.size()) - k_https.size());
  if (authority.empty()) return "names no host: https://host/path";
  if (authority.find('@') != std::string_view::npos) return "must not hold a login: files are fetched without one";
  if (!valid_port(authority)) return "has a port that is not a number from 1 to 65535";
  if (url.find_first_of("?#") != std::string_view::npos) return "must not have a '?' or '#': a path is put behind it";
  to.url = url;
  return {};
}

std::string parse_s3_url(std::string_view url, S3Place& to) {
  constexpr std::string_view k_s3 = "s3://";
  if (has_controls(url)) return "has control characters";
  url.remove_prefix(k_s3.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  const auto slash = url.find('/');
  const std::string_view bucket = url.substr(0, slash);
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  if (bucket.find('@') != std::string_view::npos) {
    return "must not hold a key: credentials come from the environment or the shared file; change that one";
  }
  if (bucket.empty() || bucket.size() > 255 || !std::all_of(bucket.begin(), bucket.end(), allowed)) {
    return "names no bucket: s3://bucket/prefix";
  }
  const std::string_view prefix = slash == std::string_view::npos ? std::string_view() : url.substr(slash + 1);
  const std::string components = fmt::format("/{}/", prefix);
  for (const char* odd : {"//", "/./", "/../"}) {
    if (!prefix.empty() && components.find(odd) != std::string::npos)
      return "has an empty or dotted part in its prefix";
  }
  if (prefix.find_first_of("?#%") != std::string_view::npos)
    return "must not have a '?', '#' or '%': a prefix is written as it is, nothing in it is percent-encoded";
  to.bucket = bucket;
  to.prefix = prefix;
  return {};
}

std::string endpoint_problem(std::string_view url) {
  const std::string_view scheme = url.starts_with("https://") ? "https://" : "http://";
  if (!url.starts_with(scheme)) return "must be an address such as https://s3.example.org";
  const std::string_view authority = url.substr(scheme.size());
  if (!is_plain(url)) return k_not_plain;
  if (authority.find('@') != std::string_view::npos) return "must not hold a login";
  if (authority.empty() || authority.find_first_of("/?#") != std::string_view::npos) {
    return "must be a scheme and a host alone, such as https://s3.example.org";
  }
  if (!valid_port(authority)) return "has a port that is not a number from 1 to 65535";
  return {};
}

std::string parse_sftp_url(std::string_view url, SftpPlace& to) {
  if (!is_plain(url)) return k_not_plain;
  url.remove_prefix(k_scheme.size());
  const auto slash = url.find('/');
  if (slash == std::string_view::npos) return "names no folder: sftp://user@host/folder";
  std::string_view authority = url.substr(0, slash);
  std::string_view folder = url.substr(slash);
  const auto at = authority.rfind('@');
  if (at == std::string_view::npos || at == 0) return "names no user: sftp://user@host/folder";
  const std::string_view user = authority.substr(0, at);
  if (user.find(':') != std::string_view::npos) {
    return "must not hold a password: hosts are logged into by key only; change that password";
  }
  authority.remove_prefix(at + 1);
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return "has an address without its closing ']'";
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else if (const auto colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (host.empty()) return "names no host: sftp://user@host/folder";
  unsigned number = 22;
  if (!port.empty()) {
    if (port.front() != ':') return "has something else than a port behind its address";
    port.remove_prefix(1);
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (problem != std::errc() || end != port.data() + port.size() || number < 1 || number > 65'535) {
      return "has a port that is not a number from 1 to 65535";
    }
  }
  if (folder.starts_with(k_login_folder)) folder.remove_prefix(k_login_folder.size());
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  to.user = user;
  to.host = host;
  to.port = number;
  to.folder = folder;
  return {};
}

}  // namespace zipmodule::config
