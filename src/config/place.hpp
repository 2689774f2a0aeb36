// Where content lies, as a configuration names it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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
  // URLs as `url` is written: redirects may lead below these as well as below `url`, and nowhere else
  std::vector<std::string> redirects;
  unsigned sessions = 8;  // connections at once, at most
  std::chrono::seconds timeout{30};

  bool operator==(const HttpsPlace&) const = default;
};

// A bucket, or what in it has a common prefix.
struct S3Place {
  std::string bucket;
  std::string prefix{};                 // without '/' at either end; may be empty
  std::string endpoint{};               // http[s]://host[:port]; empty: Amazon's
  std::string region{};                 // empty: as the AWS command line finds it
  std::string style = "auto";           // auto: path with an endpoint, virtual without; path, virtual
  std::string profile{};                // of the shared files; empty: as the AWS command line finds it
  std::filesystem::path credentials{};  // the shared file; empty: likewise
  std::filesystem::path ca{};           // certificates that are trusted; empty: the system's
  unsigned sessions = 8;                // connections at once, at most
  std::chrono::seconds timeout{30};

  bool operator==(const S3Place&) const = default;
};

using Place = std::variant<std::filesystem::path, SftpPlace, HttpsPlace, S3Place>;

// Where finished archives are delivered.
struct Target {
  Place place;             // no HttpsPlace
  bool required = false;   // a job is not done before its archive is there
  bool read_back = false;  // SFTP: what was sent is read again and compared

  bool operator==(const Target&) const = default;
};

// A path, or the URL.
std::string to_string(const Place& place);

// The same with the server of a bucket: two places with the same address are one.
std::string address_of(const Place& place);

// Reads user, host, port and folder of sftp://user@host[:port]/path. Returns what is wrong with the URL, without
// quoting it: who writes a password into it must not find that in a log. Empty: nothing.
std::string parse_sftp_url(std::string_view url, SftpPlace& to);
// The same of https://host[:port][/path].
std::string parse_https_url(std::string_view url, HttpsPlace& to);
// The same of s3://bucket[/prefix].
std::string parse_s3_url(std::string_view url, S3Place& to);
// What is wrong with the address of an S3 server; empty: nothing.
std::string endpoint_problem(std::string_view url);

}  // namespace zipmodule::config
