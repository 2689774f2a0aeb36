#include "zip/names.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/error.hpp"

namespace zipmodule::zip {
namespace {

bool is_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char ascii_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_utf8(std::string_view text) noexcept {
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t code_point = 0;
    const auto n = utf8proc_iterate(p, left, &code_point);
    if (n < 0) return false;
    p += n;
    left -= n;
  }
  return true;
}

struct Free {
  void operator()(utf8proc_uint8_t* p) const noexcept { std::free(p); }
};

// The name as Windows and macOS compare it: NFC, case folded.
std::string folded(std::string_view name) {
  if (is_ascii(name)) {
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(), ascii_lower);
    return lower;
  }
  utf8proc_uint8_t* mapped = nullptr;
  const auto n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), static_cast<utf8proc_ssize_t>(name.size()),
                   &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
  if (n < 0)
    throw Error(ErrorKind::source_name, fmt::format("name '{}' can't be normalised: {}", name, utf8proc_errmsg(n)));
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n)};
}

// A 64-bit hash instead of the name: two of a million names collide with a chance of 1 in 37 million, and all a collision
// costs is a needless " (1)", the same at every build.
std::uint64_t key(std::string_view name) { return std::hash<std::string>{}(folded(name)); }

// Splits "a/b/c.txt" into "a/b/" and "c.txt", and "a/b/" into "a/" and "b/".
std::pair<std::string_view, std::string_view> split(std::string_view name) noexcept {
  const auto body = name.ends_with('/') ? name.substr(0, name.size() - 1) : name;
  const auto slash = body.rfind('/');
  if (slash == std::string_view::npos) return {{}, name};
  return {name.substr(0, slash + 1), name.substr(slash + 1)};
}

// Calls visit(component) for each part between slashes until it returns a value.
template <class Visit>
auto first_component(std::string_view name, Visit visit) -> decltype(visit(name)) {
  if (name.ends_with('/')) name.remove_suffix(1);
  for (;;) {
    const auto slash = name.find('/');
    if (auto found = visit(name.substr(0, slash))) return found;
    if (slash == std::string_view::npos) return std::nullopt;
    name.remove_prefix(slash + 1);
  }
}

constexpr std::string_view k_windows_characters = "<>:\"|?*";

bool is_windows_device(std::string_view component) {
  static constexpr std::array<std::string_view, 4> k_devices{"con", "prn", "aux", "nul"};
  std::string stem(component.substr(0, component.find('.')));
  std::transform(stem.begin(), stem.end(), stem.begin(), ascii_lower);
  if (std::find(k_devices.begin(), k_devices.end(), stem) != k_devices.end()) return true;
  return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) && stem[3] >= '1' && stem[3] <= '9';
}

std::optional<std::string> component_problem(std::string_view component) {
  if (component.empty()) return "has an empty component";
  if (component == ".") return "has a component '.'";
  if (component == "..") return "has a component '..'";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> name_problem(std::string_view name) {
  if (name.empty() || name == "/") return "is empty";
  if (name.size() > k_name_bytes_most)
    return fmt::format("has {} bytes; {} is the most", name.size(), k_name_bytes_most);
  if (name.front() == '/') return "is absolute";
  if (name.size() >= 2 && name[1] == ':' && ascii_lower(name[0]) >= 'a' && ascii_lower(name[0]) <= 'z') {
    return "begins with a drive letter";
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "has a control character";
    if (c == '\\') return "has a backslash";
  }
  if (!is_utf8(name)) return "is not UTF-8";
  return first_component(name, component_problem);
}

std::optional<std::string> windows_problem(std::string_view name) {
  return first_component(name, [](std::string_view component) -> std::optional<std::string> {
    if (component.find_first_of(k_windows_characters) != std::string_view::npos) return "has one of <>:\"|?*";
    if (component.ends_with('.') || component.ends_with(' ')) return "has a component that ends in a dot or space";
    if (is_windows_device(component)) return "has a component that is a Windows device";
    return std::nullopt;
  });
}

std::string portable_name(std::string_view name) {
  std::string result;
  const bool directory = name.ends_with('/');
  first_component(name, [&](std::string_view component) -> std::optional<std::string> {
    std::string safe(component);
    for (char& c : safe) {
      if (k_windows_characters.find(c) != std::string_view::npos) c = '_';
    }
    if (safe.ends_with('.') || safe.ends_with(' ')) safe.back() = '_';
    if (is_windows_device(safe)) safe.insert(std::min(safe.find('.'), safe.size()), "_");
    if (!result.empty()) result += '/';
    result += safe;
    return std::nullopt;
  });
  if (directory) result += '/';
  return result;
}

void NameSet::refuse_duplicate(std::string_view name) const {
  if (on_duplicate_ == OnDuplicate::fail) {
    throw Error(ErrorKind::name_conflict, fmt::format("two entries would have the name '{}'", name),
                "give one of them another destination or name, or set zip.on_duplicate: rename");
  }
}

std::string NameSet::unused(std::string_view parent, std::string_view leaf, bool is_directory) {
  // Where the last search for this name ended: 100,000 equal names must not cost 100,000 searches each.
  std::uint64_t& next = next_suffix_[key(std::string(parent) + std::string(leaf))];
  if (is_directory) leaf.remove_suffix(1);
  // "photo.tar.gz" -> "photo.tar (1).gz", ".profile" -> ".profile (1)": only the last ending counts, as in file managers.
  const auto dot = is_directory ? std::string_view::npos : leaf.rfind('.');
  const auto stem = dot == std::string_view::npos || dot == 0 ? leaf : leaf.substr(0, dot);
  const auto ending = leaf.substr(stem.size());
  for (;;) {
    std::string candidate = fmt::format("{}{} ({}){}{}", parent, stem, ++next, ending, is_directory ? "/" : "");
    const std::string as_directory = is_directory ? candidate : candidate + "/";
    const auto as_file = as_directory.substr(0, as_directory.size() - 1);
    if (!files_.contains(key(as_file)) && !directories_.contains(key(as_directory))) return candidate;
  }
}

NameSet::Directory& NameSet::directory(std::string_view name) {
  if (last_parent_ != nullptr && *last_parent_ == name) return *last_directory_;
  auto found = by_original_.find(std::string(name));
  if (found == by_original_.end()) {
    const auto [parent, leaf] = split(name);
    const std::string final_parent = parent.empty() ? std::string() : directory(parent).final_name;
    std::string final_name = final_parent + std::string(leaf);
    if (files_.contains(key(std::string_view(final_name).substr(0, final_name.size() - 1)))) {
      throw Error(ErrorKind::name_conflict, fmt::format("'{}' would be both a file and a folder", name),
                  "give one of them another destination or name");
    }
    if (directories_.contains(key(final_name))) {
      refuse_duplicate(name);
      final_name = unused(final_parent, leaf, true);
    }
    directories_.insert(key(final_name));
    found = by_original_.emplace(std::string(name), Directory{std::move(final_name)}).first;
  }
  last_parent_ = &found->first;
  last_directory_ = &found->second;
  return found->second;
}

NameSet::Result NameSet::add(std::string_view name) {
  if (name.ends_with('/')) {
    Directory& added = directory(name);
    const bool repeated = std::exchange(added.listed, true);
    return {added.final_name, added.final_name != name, repeated};
  }
  const auto [parent, leaf] = split(name);
  const std::string final_parent = parent.empty() ? std::string() : directory(parent).final_name;
  std::string final_name = final_parent + std::string(leaf);
  if (directories_.contains(key(final_name + "/"))) {
    throw Error(ErrorKind::name_conflict, fmt::format("'{}' would be both a file and a folder", name),
                "give one of them another destination or name");
  }
  if (!files_.insert(key(final_name)).second) {
    refuse_duplicate(name);
    final_name = unused(final_parent, leaf, false);
    files_.insert(key(final_name));
  }
  return {final_name, final_name != name, false};
}

}  // namespace zipmodule::zip
