#include "storage/remote.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>

#include "base/random_hex.hpp"

namespace zipmodule::storage {

std::uint64_t hash_of(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

bool is_settled(std::int64_t mtime_ns) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return mtime_ns + k_clocks_differ_ns < std::chrono::nanoseconds(now).count();
}

std::string join(const std::string& parent, const std::string& child) {
  if (parent.empty() || child.empty()) return parent + child;
  return parent.back() == '/' ? parent + child : parent + '/' + child;
}

std::string partial_name(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto begin = slash == std::string::npos ? 0 : slash + 1;
  return fmt::format("{}.{}.part", path.substr(0, begin), path.substr(begin));
}

std::string partial_link(const std::string& link, const std::string& path) {
  const auto slash = path.rfind('/');
  const auto begin = slash == std::string::npos ? 0 : slash + 1;
  return partial_name(fmt::format("{}.{}", link, path.substr(begin, path.find('.', begin) - begin)));
}

std::string probe_name() { return ".zipmodule.check." + random_hex(); }

std::string seen_from(const std::string& link, const std::string& path) {
  std::string text;
  for (const char c : link) {
    if (c == '/') text += "../";
  }
  return text + path;
}

std::optional<std::string> below(const std::string& folder, const std::string& path) {
  if (path == folder) return std::string();
  const std::string prefix = folder.empty() || folder.ends_with('/') ? folder : folder + '/';
  if (!path.starts_with(prefix)) return std::nullopt;
  return path.substr(prefix.size());
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> time_of(const std::string& text) {
  std::tm parts{};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || (*end != 'Z' && *end != '.')) return std::nullopt;
  return ::timegm(&parts);
}

Error stopped_waiting() { return {ErrorKind::stopped, "waiting for a host was stopped"}; }

Error to_target_error(const std::string& name, const Error& error) {
  ErrorKind kind = error.kind();
  switch (error.kind()) {
    case ErrorKind::source_unreachable:
      kind = ErrorKind::target_unreachable;
      break;
    case ErrorKind::source_refused:
      kind = ErrorKind::target_refused;
      break;
    case ErrorKind::source_missing:
    case ErrorKind::source_unreadable:
    case ErrorKind::source_type:
    case ErrorKind::source_outside:
    case ErrorKind::source_changed:
    case ErrorKind::disk_full:
    case ErrorKind::store_unwritable:
      kind = ErrorKind::target_unwritable;
      break;
    default:
      break;
  }
  const bool nowhere = error.kind() == ErrorKind::source_missing;
  // Their usual hints are about the store; others name a cause.
  const bool of_store = error.kind() == ErrorKind::disk_full ||
                        (error.kind() == ErrorKind::store_unwritable &&
                         (error.hint().empty() || error.hint().find("archives.root") != std::string::npos));
  const std::string prefix = fmt::format("target {}: ", name);
  const std::string_view words = error.what();
  return {kind, words.starts_with(prefix) ? std::string(words) : prefix + std::string(words),
          of_store  ? "look at its space and rights"
          : nowhere ? "look whether its folder, or bucket and endpoint, are right and there"
                    : error.hint()};
}

}  // namespace zipmodule::storage
