// Values as people read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/terminal_text.hpp"

namespace zipmodule::cli {

std::string human_bytes(std::uint64_t bytes);  // "0 B", "1.5 KiB", "234 MiB"
std::string human_duration(double seconds);    // "0s", "45s", "3m 20s", "2h 5m", "3d 4h"; of a negative one the amount
std::string human_count(std::uint64_t count, std::string_view singular, std::string_view plural);  // "1 entry"

// The exact value in the configuration's own notation, so that it can be written back.
std::string size_text(std::uint64_t bytes);                // "256MiB", "1000"
std::string duration_text(std::chrono::seconds duration);  // "400d", "24h", "90s"

using zipmodule::display_width;
using zipmodule::printable;

// The argument as a POSIX shell would need it.
std::string shell_quoted(std::string_view argument);

// "2026-01-02T03:04:05.678Z", also with a space for the T, and +00 or +00:00 for the Z; nullopt for all else.
std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text);
// "5m 3s ago" or "in 12s"; the text itself where it is not a time.
std::string relative(std::string_view time, std::chrono::system_clock::time_point now);

}  // namespace zipmodule::cli
