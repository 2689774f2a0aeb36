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
  if (is_ascii(text)) return true;
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
void fold(std::string_view name, std::string& into) {
  if (is_ascii(name)) {
    into.resize(name.size());
    std::transform(name.begin(), name.end(), into.begin(), ascii_lower);
    return;
  }
  utf8proc_uint8_t* mapped = nullptr;
  const auto n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), static_cast<utf8proc_ssize_t>(name.size()),
                   &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
  if (n < 0)
    throw Error(ErrorKind::source_name, fmt::format("name '{}' can't be normalised: {}", name, utf8proc_errmsg(n)));
  into.assign(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n));
}

std::string_view without_slash(std::string_view name) noexcept {
  if (name.ends_with('/')) name.remove_suffix(1);
  return name;
}

Error both_file_and_folder(std::string_view name) {
  return {ErrorKind::name_conflict, fmt::format("'{}' would be both a file and a folder", name),
          "give one of them another destination or name"};
}

// A suffix, or that of a folder above, can be what is too much for the header's 16-bit length.
void require_fitting(std::string_view final_name, std::string_view name) {
  if (final_name.size() <= k_name_bytes_most) return;
  auto shown = std::min<std::size_t>(name.size(), 200);
  while (shown < name.size() && (static_cast<unsigned char>(name[shown]) & 0xC0U) == 0x80) --shown;  // whole characters
  throw Error(
      ErrorKind::source_name,
      fmt::format("'{}...' can't be told apart from another entry: its name would have {} bytes; {} is the most",
                  name.substr(0, shown), final_name.size(), k_name_bytes_most),
      "publish it under a shorter name");
}

// Splits "a/b/c.txt" into "a/b/" and "c.txt", and "a/b/" into "a/" and "b/".
std::pair<std::string_view, std::string_view> split(std::string_view name) noexcept {
  const auto slash = without_slash(name).rfind('/');
  if (slash == std::string_view::npos) return {{}, name};
  return {name.substr(0, slash + 1), name.substr(slash + 1)};
}

// Calls visit(component) for each part between slashes until it returns a value.
template <class Visit>
auto first_component(std::string_view name, Visit visit) -> decltype(visit(name)) {
  name = without_slash(name);
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

Fingerprint NameSet::key(std::string_view final_name) {
  fold(without_slash(final_name), folded_);
  return fingerprint_of(folded_);
}

std::string NameSet::unused(const std::string& parent, std::string_view leaf, bool is_directory) {
  // Where the last search for this name ended: 100,000 equal names must not cost 100,000 searches each.
  std::uint64_t& next = next_suffix_[key(parent + std::string(leaf)).low];
  leaf = without_slash(leaf);
  // "photo.tar.gz" -> "photo.tar (1).gz", ".profile" -> ".profile (1)": only the last ending counts, as in file managers.
  const auto dot = is_directory ? std::string_view::npos : leaf.rfind('.');
  const auto stem = dot == std::string_view::npos || dot == 0 ? leaf : leaf.substr(0, dot);
  const auto ending = leaf.substr(stem.size());
  for (;;) {
    std::string candidate = fmt::format("{}{} ({}){}{}", parent, stem, ++next, ending, is_directory ? "/" : "");
    if (!taken_.contains(key(candidate))) return candidate;
  }
}

// The final name of a folder that is in folders_, where some folder was renamed.
std::string NameSet::renamed_folder(std::string_view folder) const {
  const auto [parent, leaf] = split(folder);
  std::string final_name = parent.empty() ? std::string() : renamed_folder(parent);
  const auto renamed = renamed_folders_.find(std::string(folder));
  return final_name += renamed == renamed_folders_.end() ? leaf : std::string_view(renamed->second);
}

std::string NameSet::new_folder(std::string_view folder) {
  const auto [parent, leaf] = split(folder);
  const std::string final_parent = parent.empty() ? std::string() : final_folder(parent);
  std::string final_name = final_parent + std::string(leaf);
  const Fingerprint wanted = key(final_name);
  const auto there = taken_.find(wanted);
  if (there == FingerprintSet::Found::unmarked) throw both_file_and_folder(folder);
  if (there == FingerprintSet::Found::no) {
    taken_.insert(wanted, true);
  } else {
    refuse_duplicate(folder);
    final_name = unused(final_parent, leaf, true);
    taken_.insert(key(final_name), true);
    renamed_folders_.emplace(std::string(folder), final_name.substr(final_parent.size()));
  }
  return final_name;
}

// The final name of a folder, with its '/'; known from now on. Valid until the next call.
const std::string& NameSet::final_folder(std::string_view folder) {
  if (folder == last_folder_) return last_final_;
  const bool known = folders_.contains(fingerprint_of(folder));
  std::string final_name = !known                     ? new_folder(folder)
                           : renamed_folders_.empty() ? std::string(folder)
                                                      : renamed_folder(folder);
  if (!known) folders_.insert(fingerprint_of(folder), false);
  last_folder_ = folder;
  last_final_ = std::move(final_name);
  return last_final_;
}

NameSet::Result NameSet::add(std::string_view name) {
  if (name.ends_with('/')) {
    const std::string& final_name = final_folder(name);
    require_fitting(final_name, name);
    const bool repeated = !folders_.mark(fingerprint_of(name));
    return {final_name, final_name != name, repeated};
  }
  const auto [parent, leaf] = split(name);
  std::string final_name = parent.empty() ? std::string() : final_folder(parent);
  const std::size_t parent_bytes = final_name.size();
  final_name += leaf;
  const Fingerprint wanted = key(final_name);
  if (!taken_.insert(wanted, false)) {
    if (taken_.find(wanted) == FingerprintSet::Found::marked) throw both_file_and_folder(name);
    refuse_duplicate(name);
    final_name = unused(final_name.substr(0, parent_bytes), leaf, false);
    taken_.insert(key(final_name), false);
  }
  require_fitting(final_name, name);
  const bool renamed = final_name != name;
  return {std::move(final_name), renamed, false};
}

}  // namespace zipmodule::zip
