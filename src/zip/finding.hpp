// What reading an archive found amiss, and how bad that is.
#pragma once

#include <string>
#include <string_view>

namespace zipmodule::zip {

// The worst first. Only the first one means that something is lost.
enum class FindingKind {
  damaged,      // read and found wrong, or missing
  unsupported,  // fine as far as it was read; the rest we can't read: encryption, other methods, other parts
  policy,       // readable, but nothing we would write: names that lead out of a folder, names that occur twice
  unusual,      // readable, but readers differ about it: bytes around the archive, names in other encodings
};

constexpr std::string_view to_string(FindingKind kind) noexcept {
  switch (kind) {
    case FindingKind::damaged:
      return "damaged";
    case FindingKind::unsupported:
      return "unsupported";
    case FindingKind::policy:
      return "policy";
    case FindingKind::unusual:
      return "unusual";
  }
  return {};
}

struct Finding {
  FindingKind kind = FindingKind::damaged;
  std::string text;  // without the archive's name

  friend auto operator<=>(const Finding&, const Finding&) = default;
};

}  // namespace zipmodule::zip
