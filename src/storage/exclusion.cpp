#include "storage/exclusion.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace zipmodule::storage {

Exclusion::Exclusion(const std::vector<std::string>& patterns) {
  for (const std::string& given : patterns) {
    const bool of_paths = given.find('/') != std::string::npos;
    Pattern pattern{given.substr(given.starts_with('/') ? 1 : 0), {}};
    pattern.head = pattern.text.substr(0, pattern.text.find_first_of("*?[\\"));
    (of_paths ? of_paths_ : of_names_).push_back(std::move(pattern));
  }
}

// Every name of a walk comes here: fnmatch is called for those alone that begin as the pattern does. `text` ends in
// NUL.
bool Exclusion::matches(const Pattern& pattern, std::string_view text, int flags) {
  if (!text.starts_with(pattern.head)) return false;
  if (pattern.head.size() == pattern.text.size()) return text.size() == pattern.text.size();
  return ::fnmatch(pattern.text.c_str(), text.data(), flags) == 0;
}

bool Exclusion::excludes(std::string_view folder, const char* name) const {
  const auto match = [](const std::vector<Pattern>& patterns, std::string_view text, int flags) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const Pattern& pattern) { return matches(pattern, text, flags); });
  };
  if (match(of_names_, name, 0)) return true;
  if (of_paths_.empty()) return false;
  const std::string path = folder.empty() ? std::string(name) : std::string(folder).append("/").append(name);
  return match(of_paths_, path, FNM_PATHNAME);
}

}  // namespace zipmodule::storage
