#include "zip/level.hpp"

#include <array>
#include <utility>

namespace zipmodule::zip {
namespace {

constexpr auto k_levels = std::to_array<std::pair<std::string_view, Level>>(
    {{"store", Level::store}, {"fast", Level::fast}, {"balanced", Level::balanced}, {"small", Level::small}});

}  // namespace

std::optional<Level> parse_level(std::string_view text) noexcept {
  for (const auto& [name, level] : k_levels) {
    if (name == text) return level;
  }
  return std::nullopt;
}

std::string_view to_string(Level level) noexcept { return k_levels[static_cast<std::size_t>(level)].first; }

}  // namespace zipmodule::zip
