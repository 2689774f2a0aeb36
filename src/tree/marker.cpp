#include "tree/marker.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "base/archive_name.hpp"

namespace zipmodule::tree {
namespace {

using Lines = std::map<std::string, std::string, std::less<>>;

// "key value" lines behind `first`. Nullopt where a line is anything else, or stands there twice.
std::optional<Lines> lines_of(std::string_view text, std::string_view first) {
  if (!text.starts_with(first) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(first.size());
  Lines lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    if (!lines.emplace(line.substr(0, blank), line.substr(blank + 1)).second) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// Whether `key` has an id, which goes to `to`.
bool take_id(const Lines& lines, std::string_view key, std::string& to) {
  const auto found = lines.find(key);
  if (found == lines.end() || !is_build_id(found->second)) return false;
  to = found->second;
  return true;
}

// The same, and it may be missing.
bool take_token(const Lines& lines, std::string_view key, std::string& to) {
  return !lines.contains(key) || take_id(lines, key, to);
}

std::string line(std::string_view key, std::string_view value) {
  return value.empty() ? std::string() : fmt::format("{} {}\n", key, value);
}

constexpr std::string_view k_store_line = "zipmodule store 1\n";
constexpr std::string_view k_target_line = "zipmodule target 1\n";

}  // namespace

std::string to_text(const StoreMarker& marker) {
  return std::string(k_store_line) + line("store", marker.store) + line("database", marker.database) +
         line("last", marker.last) + line("next", marker.next) + line("wrote", marker.wrote) +
         line("at", std::to_string(marker.at));
}

std::string to_text(const TargetMarker& marker) {
  return std::string(k_target_line) + line("target", marker.target) + line("database", marker.database);
}

std::optional<StoreMarker> parse_store_marker(std::string_view text) {
  const auto lines = lines_of(text, k_store_line);
  StoreMarker marker;
  if (!lines || !take_id(*lines, "store", marker.store) || !take_id(*lines, "database", marker.database) ||
      !take_token(*lines, "last", marker.last) || !take_token(*lines, "next", marker.next) ||
      !take_token(*lines, "wrote", marker.wrote))
    return std::nullopt;
  const auto at = lines->find("at");
  if (at == lines->end()) return std::nullopt;
  const char* const end = at->second.data() + at->second.size();
  const auto [stopped, problem] = std::from_chars(at->second.data(), end, marker.at);
  if (problem != std::errc() || stopped != end) return std::nullopt;
  return marker;
}

std::optional<TargetMarker> parse_target_marker(std::string_view text) {
  const auto lines = lines_of(text, k_target_line);
  TargetMarker marker;
  if (!lines || !take_id(*lines, "target", marker.target) || !take_id(*lines, "database", marker.database))
    return std::nullopt;
  return marker;
}

}  // namespace zipmodule::tree
