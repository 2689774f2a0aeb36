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

// As many whole characters as fit in so many bytes.
std::string_view cut(std::string_view text, std::size_t bytes_most) noexcept {
  if (text.size() <= bytes_most) return text;
  while (bytes_most > 0 && (static_cast<unsigned char>(text[bytes_most]) & 0xC0U) == 0x80) --bytes_most;
  return text.substr(0, bytes_most);
}

// A suffix, or that of a folder above, can be what is too much for the header's 16-bit length.
void require_fitting(std::string_view final_name, std::string_view name) {
  if (final_name.size() <= k_name_bytes_most) return;
  throw Error(
      ErrorKind::source_name,
      fmt::format("'{}...' can't be told apart from another entry: its name would have {} bytes; {} is the most",
                  cut(name, 200), final_name.size(), k_name_bytes_most),
      "publish it under a shorter name");
}

// "photo.tar.gz" -> "photo.tar (1).gz", ".profile" -> ".profile (1)": only the last ending counts, as in file managers.
// What would be too long loses the end of its stem; an ending that leaves no room for a stem is taken for a part of it.
std::string with_suffix(std::string_view leaf, std::string_view suffix, bool is_directory) {
  constexpr std::size_t k_character_bytes_most = 4;
  const std::size_t room = k_component_bytes_most - suffix.size();
  auto dot = is_directory ? std::string_view::npos : leaf.rfind('.');
  if (dot != std::string_view::npos && leaf.size() - dot + k_character_bytes_most > room) dot = std::string_view::npos;
  const auto stem = dot == std::string_view::npos || dot == 0 ? leaf : leaf.substr(0, dot);
  const auto ending = leaf.substr(stem.size());
  return fmt::format("{}{}{}", cut(stem, room - ending.size()), suffix, ending);
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

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// With whatever ending, and with blanks before it: "aux .txt" opens the device too. The superscript digits are digits
// here.
bool is_windows_device(std::string_view component) {
  static constexpr std::array<std::string_view, 6> k_devices{"con", "prn", "aux", "nul", "conin$", "conout$"};
  static constexpr std::array<std::string_view, 12> k_ports{"1", "2", "3", "4",      "5",      "6",
                                                            "7", "8", "9", "\u00b9", "\u00b2", "\u00b3"};
  std::string stem(component.substr(0, component.find('.')));
  stem.erase(stem.find_last_not_of(' ') + 1);
  std::transform(stem.begin(), stem.end(), stem.begin(), ascii_lower);
  if (std::find(k_devices.begin(), k_devices.end(), stem) != k_devices.end()) return true;
  if (!stem.starts_with("com") && !stem.starts_with("lpt")) return false;
  return std::find(k_ports.begin(), k_ports.end(), std::string_view(stem).substr(3)) != k_ports.end();
}

std::optional<std::string> component_problem(std::string_view component) {
  if (component.empty()) return "has an empty component";
  if (component == ".") return "has a component '.'";
  if (component == "..") return "has a component '..'";
  if (component.size() > k_component_bytes_most) {
    return fmt::format("has a component of {} bytes; {} is the most that disks can hold", component.size(),
                       k_component_bytes_most);
  }
  return std::nullopt;
}

void replace_last_dot_or_space(std::string& component) {
  if (component.ends_with('.') || component.ends_with(' ')) component.back() = '_';
}

std::string portable_component(std::string_view component) {
  std::string safe(component);
  if (component == "." || component == "..") return safe;  // which no name may have
  for (char& c : safe) {
    if (k_windows_characters.find(c) != std::string_view::npos || c == '\\' || is_control(c)) c = '_';
  }
  replace_last_dot_or_space(safe);
  if (!is_windows_device(safe)) return safe;
  safe.insert(std::min(safe.find('.'), safe.size()), "_");
  if (component.size() > k_component_bytes_most) return safe;  // was too long before
  safe.resize(cut(safe, k_component_bytes_most).size());
  replace_last_dot_or_space(safe);
  return safe;
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
    if (is_control(c)) return "has a control character";
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
  for (;;) {
    const auto slash = name.find('/');
    result += portable_component(name.substr(0, slash));
    if (slash == std::string_view::npos) return result;
    result += '/';
    name.remove_prefix(slash + 1);
  }
}

bool same_to_people(std::string_view a, std::string_view b) {
  if (!is_utf8(a) || !is_utf8(b)) return false;
  std::string folded_a;
  std::string folded_b;
  fold(a, folded_a);
  fold(b, folded_b);
  return folded_a == folded_b;
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
  for (;;) {
    std::string candidate = parent + with_suffix(leaf, fmt::format(" ({})", ++next), is_directory);
    if (is_directory) candidate += '/';
    if (!taken_.contains(key(candidate))) return candidate;
  }
}

// Adds the last component as it is wanted, with the '/' of a directory.
void NameSet::add_wanted(std::string_view leaf, std::string& to) const {
  if (portable_)
    to += portable_name(leaf);
  else
    to += leaf;
}

// Names that were made portable may meet as file and folder, which is nobody's fault: there the later one gives way.
void NameSet::refuse_file_and_folder(std::string_view name) const {
  if (!portable_) throw both_file_and_folder(name);
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
  std::string final_name = final_parent;
  add_wanted(leaf, final_name);
  const auto there = taken_.find(key(final_name));
  if (there == FingerprintSet::Found::unmarked) refuse_file_and_folder(folder);
  if (there != FingerprintSet::Found::no) {
    refuse_duplicate(final_name);
    final_name = unused(final_parent, std::string(final_name, final_parent.size()), true);
  }
  taken_.insert(key(final_name), true);
  if (const auto last = std::string_view(final_name).substr(final_parent.size()); last != leaf)
    renamed_folders_.emplace(std::string(folder), last);
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
  add_wanted(leaf, final_name);
  const Fingerprint place = key(final_name);
  if (!taken_.insert(place, false)) {
    if (taken_.find(place) == FingerprintSet::Found::marked) refuse_file_and_folder(name);
    refuse_duplicate(final_name);
    final_name = unused(final_name.substr(0, parent_bytes), final_name.substr(parent_bytes), false);
    taken_.insert(key(final_name), false);
  }
  require_fitting(final_name, name);
  const bool renamed = final_name != name;
  return {std::move(final_name), renamed, false};
}

}  // namespace zipmodule::zip
