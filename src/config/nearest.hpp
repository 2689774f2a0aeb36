// The word that was probably meant, for unknown keys, values and verbs.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace zipmodule::config {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, counted by bytes; letters compare
// without case.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest distance, the first of equals; nullopt where none is near enough to be a slip.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace zipmodule::config
