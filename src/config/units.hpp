// Sizes and durations as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zipmodule::config {

// A value, or what is wrong with the text: a phrase that can follow "run.memory: ".
template <class T>
struct Parsed {
  std::optional<T> value;
  std::string problem;
};

// Bytes: a whole number, with B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024), in any case
// and with or without a space. 'M' alone is refused: it is read as either by half of all people.
Parsed<std::uint64_t> parse_size(std::string_view text);

// Whole seconds: numbers with d, h, m, s or ms, the larger unit first, as in 1h30m; a bare 0 needs none. What does not
// come to whole seconds is refused, never rounded.
Parsed<std::chrono::seconds> parse_duration(std::string_view text);

// A whole number in decimal digits, without sign.
std::optional<std::uint64_t> parse_whole_number(std::string_view text) noexcept;

}  // namespace zipmodule::config
