// Which names a walk leaves out, and all that is below them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zipmodule::storage {

// Glob patterns (fnmatch(3): '*', '?', '[...]', '\'; a wildcard matches a leading dot too). A pattern without '/' is
// compared with one name, wherever it lies. One with '/' is compared with the whole path below the walked folder, and
// its wildcards match no '/'; a '/' at its beginning says no more than that. Thread-safe.
class Exclusion {
 public:
  explicit Exclusion(const std::vector<std::string>& patterns);

  // Whether what is called `name` in the folder `folder` is left out. `folder` is relative to the walked one; empty:
  // itself.
  bool excludes(std::string_view folder, const char* name) const;

 private:
  struct Pattern {
    std::string text;
    std::string head;  // what it begins with, up to its first wildcard
  };
  static bool matches(const Pattern& pattern, std::string_view text, int flags);

  std::vector<Pattern> of_names_;
  std::vector<Pattern> of_paths_;
};

}  // namespace zipmodule::storage
