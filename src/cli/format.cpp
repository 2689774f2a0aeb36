#include "cli/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "config/units.hpp"

namespace zipmodule::cli {
namespace {

// Takes `length` digits and the character after them off the front.
std::optional<int> take_number(std::string_view& rest, std::size_t length, std::string_view followed_by) {
  const auto number = config::parse_whole_number(rest.substr(0, length));
  if (!number || rest.size() < length) return std::nullopt;
  rest.remove_prefix(length);
  if (followed_by.empty()) return static_cast<int>(*number);
  if (rest.empty() || followed_by.find(rest.front()) == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(1);
  return static_cast<int>(*number);
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr auto k_units = std::to_array<const char*>({"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // From 1023.5 on, rounding would show 1024 of the smaller unit.
  while (value >= 1023.5 && unit + 1 < k_units.size()) {
    value /= 1024;
    ++unit;
  }
  // 9.95 would be rounded to 10.0, one digit more than its neighbours have.
  return unit > 0 && value < 9.95 ? fmt::format("{:.1f} {}", value, k_units[unit])
                                  : fmt::format("{:.0f} {}", value, k_units[unit]);
}

std::string human_duration(double seconds) {
  const auto whole = std::llround(std::min(std::abs(seconds), 1e12));
  const auto days = whole / 86'400;
  const auto hours = whole / 3600 % 24;
  const auto minutes = whole / 60 % 60;
  if (days > 0) return hours > 0 ? fmt::format("{}d {}h", days, hours) : fmt::format("{}d", days);
  if (hours > 0) return minutes > 0 ? fmt::format("{}h {}m", hours, minutes) : fmt::format("{}h", hours);
  if (minutes > 0) return whole % 60 > 0 ? fmt::format("{}m {}s", minutes, whole % 60) : fmt::format("{}m", minutes);
  return fmt::format("{}s", whole);
}

std::string human_count(std::uint64_t count, std::string_view singular, std::string_view plural) {
  return fmt::format("{} {}", count, count == 1 ? singular : plural);
}

std::string size_text(std::uint64_t bytes) {
  constexpr auto k_units = std::to_array<const char*>({"", "KiB", "MiB", "GiB", "TiB"});
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < k_units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, k_units[unit]);
}

std::string duration_text(std::chrono::seconds duration) {
  const auto seconds = duration.count();
  // One day is 24h, as people say it.
  if (seconds > 86'400 && seconds % 86'400 == 0) return fmt::format("{}d", seconds / 86'400);
  if (seconds != 0 && seconds % 3600 == 0) return fmt::format("{}h", seconds / 3600);
  if (seconds != 0 && seconds % 60 == 0) return fmt::format("{}m", seconds / 60);
  return fmt::format("{}s", seconds);
}

std::string shell_quoted(std::string_view argument) {
  constexpr std::string_view k_plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "_-./:=,+@%";
  if (!argument.empty() && argument.find_first_not_of(k_plain) == std::string_view::npos) return std::string(argument);
  std::string quoted = "'";
  for (const char c : argument) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text) {
  using namespace std::chrono;
  const auto years = take_number(text, 4, "-");
  const auto months = years ? take_number(text, 2, "-") : std::nullopt;
  const auto days = months ? take_number(text, 2, "T ") : std::nullopt;
  const auto hour = days ? take_number(text, 2, ":") : std::nullopt;
  const auto minute = hour ? take_number(text, 2, ":") : std::nullopt;
  const auto second = minute ? take_number(text, 2, "") : std::nullopt;
  if (!second) return std::nullopt;
  if (text.starts_with('.')) {
    const auto end = text.find_first_not_of("0123456789", 1);
    text.remove_prefix(std::min(end, text.size()));
  }
  if (text != "Z" && text != "+00" && text != "+00:00" && text != "+0000") return std::nullopt;
  const year_month_day date{year(*years), month(static_cast<unsigned>(*months)), day(static_cast<unsigned>(*days))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second);
}

std::string relative(std::string_view time, std::chrono::system_clock::time_point now) {
  const auto point = parse_utc(time);
  if (!point) return printable(time);
  const double ago = std::chrono::duration<double>(now - *point).count();
  return ago >= 0 ? human_duration(ago) + " ago" : "in " + human_duration(ago);
}

}  // namespace zipmodule::cli
