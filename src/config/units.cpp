#include "config/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace zipmodule::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t k_1000 = 1000;
constexpr auto k_size_units = std::to_array<Unit>({
    {"", 1},
    {"b", 1},
    {"kb", k_1000},
    {"mb", k_1000* k_1000},
    {"gb", k_1000* k_1000* k_1000},
    {"tb", k_1000* k_1000* k_1000* k_1000},
    {"kib", std::uint64_t{1} << 10},
    {"mib", std::uint64_t{1} << 20},
    {"gib", std::uint64_t{1} << 30},
    {"tib", std::uint64_t{1} << 40},
});

// In milliseconds, largest first: parse_duration wants them in this order.
constexpr auto k_duration_units = std::to_array<Unit>({
    {"d", 86'400'000},
    {"h", 3'600'000},
    {"m", 60'000},
    {"s", 1000},
    {"ms", 1},
});

constexpr std::string_view k_size_advice = "write a whole number and a unit, such as 256MiB, 10 MB or plain bytes";
constexpr std::string_view k_duration_advice = "write whole numbers with units, such as 24h, 55m, 60s or 1h30m";

// The longest duration: sums with the time of day must not overflow in nanoseconds, which end after 292 years.
constexpr std::uint64_t k_most_milliseconds = std::uint64_t{3650} * 86'400'000;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

template <class Table>
const Unit* find_unit(const Table& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Unit& unit) { return unit.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::string_view take_while(std::string_view& rest, bool (*matches)(char)) {
  const auto end = std::find_if_not(rest.begin(), rest.end(), matches);
  const auto taken = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  rest.remove_prefix(taken.size());
  return taken;
}

struct Step {
  std::uint64_t milliseconds = 0;
  const Unit* unit = nullptr;
};

// Takes one number with its unit off the front of `rest`.
std::optional<Step> take_step(std::string_view& rest) {
  const auto number = parse_whole_number(take_while(rest, [](char c) { return is_digit(c); }));
  const Unit* unit = find_unit(k_duration_units, take_while(rest, [](char c) { return is_letter(c); }));
  if (!number || unit == nullptr) return std::nullopt;
  if (*number > k_most_milliseconds / unit->factor) return Step{k_most_milliseconds + 1, unit};
  return Step{*number * unit->factor, unit};
}

}  // namespace

std::optional<std::uint64_t> parse_whole_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto digits = take_while(rest, [](char c) { return is_digit(c); });
  take_while(rest, [](char c) { return c == ' '; });
  const auto number = parse_whole_number(digits);
  const Unit* unit = find_unit(k_size_units, lowered(rest));
  if (digits.empty() || unit == nullptr) return {{}, fmt::format("'{}' is not a size; {}", text, k_size_advice)};
  if (!number || *number > UINT64_MAX / unit->factor) return {{}, fmt::format("'{}' is too large", text)};
  return {*number * unit->factor, {}};
}

Parsed<std::chrono::seconds> parse_duration(std::string_view text) {
  if (text == "0") return {std::chrono::seconds(0), {}};
  if (parse_whole_number(text)) {
    return {{}, fmt::format("'{}' has no unit; {}", text, k_duration_advice)};
  }
  std::uint64_t milliseconds = 0;
  const Unit* last = nullptr;
  for (std::string_view rest = text; last == nullptr || !rest.empty();) {
    const auto step = take_step(rest);
    if (!step || (last != nullptr && step->unit <= last)) {
      return {{}, fmt::format("'{}' is not a duration; {}", text, k_duration_advice)};
    }
    milliseconds += step->milliseconds;
    if (milliseconds > k_most_milliseconds) return {{}, fmt::format("'{}' is longer than ten years", text)};
    last = step->unit;
  }
  if (milliseconds % 1000 != 0) return {{}, fmt::format("'{}' is not in whole seconds", text)};
  return {std::chrono::seconds(milliseconds / 1000), {}};
}

}  // namespace zipmodule::config
