// How hard an archive is compressed.
#pragma once

#include <optional>
#include <string_view>

namespace zipmodule::zip {

// store: nothing is compressed. fast, balanced, small: more time for fewer bytes.
enum class Level { store, fast, balanced, small };

std::optional<Level> parse_level(std::string_view text) noexcept;
std::string_view to_string(Level level) noexcept;

}  // namespace zipmodule::zip
