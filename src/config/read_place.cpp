#include "config/read_place.hpp"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

namespace zipmodule::config {
namespace {

using std::chrono::seconds;

// sshd takes ten at once that have not logged in yet, of all its clients, as Debian has it.
constexpr unsigned k_most_sessions = 64;
// libssh2 gives up waiting for an answer by itself then (LIBSSH2_READ_TIMEOUT); the same for all hosts.
constexpr seconds k_most_timeout{60};

const std::array<std::string, 3> k_styles{"auto", "path", "virtual"};

enum class Use { root, target };

// What every host has.
template <class Anywhere>
void read_line(Section& section, Anywhere& place) {
  section.count("sessions", place.sessions, 1U, k_most_sessions);
  section.duration("timeout", place.timeout, seconds(1));
  if (place.timeout > k_most_timeout) {
    section.problem_at(section.line_of("timeout"), "timeout", "must be at most 60s");
  }
}

void read_keys(Section& section, SftpPlace& place) {
  section.absolute_path("key", place.key);
  section.absolute_path("known_hosts", place.known_hosts);
  read_line(section, place);
}

std::optional<std::string> redirect_problem(const std::string& url) {
  if (!url.starts_with("https://")) return "must be addresses such as https://cdn.example.com/media";
  HttpsPlace place;
  const std::string problem = parse_https_url(url, place);
  return problem.empty() ? std::nullopt : std::optional("an address " + problem);
}

void read_keys(Section& section, HttpsPlace& place) {
  section.absolute_path("ca", place.ca);
  section.texts("redirects", place.redirects, &redirect_problem);
  for (std::string& url : place.redirects) {
    while (url.ends_with('/')) url.pop_back();
  }
  read_line(section, place);
}

void read_keys(Section& section, S3Place& place) {
  section.text("endpoint", place.endpoint);
  while (place.endpoint.ends_with('/')) place.endpoint.pop_back();
  if (!place.endpoint.empty()) {
    const std::string problem = endpoint_problem(place.endpoint);
    if (!problem.empty()) section.problem_at(section.line_of("endpoint"), "endpoint", problem);
  }
  section.text("region", place.region);
  section.choice("style", place.style, k_styles);
  section.text("profile", place.profile);
  section.absolute_path("credentials", place.credentials);
  section.absolute_path("ca", place.ca);
  read_line(section, place);
}

// `section`, where there is one, says how to talk to that host.
template <class Kind>
std::optional<Place> read_url(Section& places, const Section::Entry& entry, const std::string& url, Section* section,
                              std::string (*parse)(std::string_view, Kind&)) {
  Kind place;
  if (section != nullptr) read_keys(*section, place);
  const std::string problem = parse(url, place);
  if (problem.empty()) return place;
  places.problem_at(entry.line, entry.key, problem);
  return std::nullopt;
}

bool is_remote(const std::string& url) {
  return url.starts_with("sftp://") || url.starts_with("https://") || url.starts_with("s3://");
}

std::optional<Place> read_url(Section& places, const Section::Entry& entry, const std::string& url, Section* section,
                              Use use) {
  if (url.starts_with("sftp://")) return read_url<SftpPlace>(places, entry, url, section, &parse_sftp_url);
  if (url.starts_with("s3://")) return read_url<S3Place>(places, entry, url, section, &parse_s3_url);
  auto place = read_url<HttpsPlace>(places, entry, url, section, &parse_https_url);
  if (use == Use::root) return place;
  places.problem_at(entry.line, entry.key, "is a web server: archives are delivered to sftp://, s3:// or a folder");
  return std::nullopt;
}

// For what is told of the other keys where nobody knows what kind of host they are of.
void read_all_keys(Section& section) {
  SftpPlace sftp;
  section.absolute_path("key", sftp.key);
  section.absolute_path("known_hosts", sftp.known_hosts);
  HttpsPlace https;
  section.texts("redirects", https.redirects, &redirect_problem);
  S3Place s3;
  read_keys(section, s3);
}

// The place that a mapping's `url` names.
std::optional<Place> read_mapped(Section& places, const Section::Entry& entry, Section& section, Use use) {
  std::string url;
  section.text("url", url);
  if (is_remote(url)) return read_url(places, entry, url, &section, use);
  std::filesystem::path folder;
  if (url.starts_with('/')) {
    section.absolute_path("url", folder);
    return folder;
  }
  if (url.empty()) {
    section.missing("url", use == Use::root ? "name the folder to read from, such as sftp://user@host/folder"
                                            : "name the folder to deliver to, such as sftp://user@host/folder");
  } else {
    section.problem_at(section.line_of("url"), "url",
                       use == Use::root ? "must begin with sftp://, s3:// or https://, or be a folder of this host"
                                        : "must begin with sftp:// or s3://, or be a folder of this host");
  }
  read_all_keys(section);
  return std::nullopt;
}

// A path below the root, so that nothing else can be meant.
void read_marker(Section& section, std::string& marker) {
  section.text("marker", marker);
  if (marker.empty()) return;
  const std::string framed = '/' + marker + '/';
  const bool leads_away = framed.find("//") != std::string::npos || framed.find("/./") != std::string::npos ||
                          framed.find("/../") != std::string::npos;
  if (leads_away)
    section.problem_at(section.line_of("marker"), "marker", "must be a path below the root, such as .mounted");
}

std::optional<Place> read_scalar(Section& places, const Section::Entry& entry, Use use) {
  if (entry.value.IsScalar() && is_remote(entry.value.Scalar())) {
    return read_url(places, entry, entry.value.Scalar(), nullptr, use);
  }
  if (auto path = places.path_of(entry)) return *path;
  return std::nullopt;
}

}  // namespace

std::optional<Place> read_place(Section& roots, const Section::Entry& entry, std::string& marker) {
  if (!entry.value.IsMap()) return read_scalar(roots, entry, Use::root);
  Section section = roots.section(entry.key);
  read_marker(section, marker);
  auto place = read_mapped(roots, entry, section, Use::root);
  section.finish();
  return place;
}

std::optional<Target> read_target(Section& targets, const Section::Entry& entry) {
  Target target;
  std::optional<Place> place;
  if (entry.value.IsMap()) {
    Section section = targets.section(entry.key);
    section.boolean("required", target.required);
    place = read_mapped(targets, entry, section, Use::target);
    if (!place || std::holds_alternative<SftpPlace>(*place)) section.boolean("read_back", target.read_back);
    section.finish();
  } else {
    place = read_scalar(targets, entry, Use::target);
  }
  if (!place) return std::nullopt;
  target.place = std::move(*place);
  return target;
}

}  // namespace zipmodule::config
