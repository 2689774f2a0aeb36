// Where content lies, as a configuration names it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

namespace zipmodule::config {

// A folder of another host, read over SFTP.
struct SftpPlace {
  std::string user;
  std::string host;  // a name or an address; an IPv6 address without brackets
  unsigned port = 22;
  std::string folder;                 // absolute; relative to where the login begins where the URL said /~/
  std::filesystem::path key;          // private; empty: the agent's, then ~/.ssh
  std::filesystem::path known_hosts;  // empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
  unsigned sessions = 8;              // connections at once, at most
  std::chrono::seconds timeout{30};   // the longest that the host may stay silent

  bool operator==(const SftpPlace&) const = default;
};

// Files of a web server.
struct HttpsPlace {
  std::string url;           // https://host[:port][/path], without '/' at its end
  std::filesystem::path ca;  // certificates that are trusted; empty: the system's
  unsigned sessions = 8;     // connections at once, at most
  std::chrono::seconds timeout{30};

  bool operator==(const HttpsPlace&) const = default;
};

using Place = std::variant<std::filesystem::path, SftpPlace, HttpsPlace>;

// A path, or the URL.
std::string to_string(const Place& place);

// Reads user, host, port and folder of sftp://user@host[:port]/path. Returns what is wrong with the URL, without quoting it:
// who writes a password into it must not find that in a log. Empty: nothing.
std::string parse_sftp_url(std::string_view url, SftpPlace& to);
// The same of https://host[:port][/path].
std::string parse_https_url(std::string_view url, HttpsPlace& to);

}  // namespace zipmodule::config
