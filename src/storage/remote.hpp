// What roots on other hosts share. Private to src/storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace zipmodule::storage {

// A number that stands for a text: the first 64 bits of SHA-256. Nobody happens upon two texts with the same.
std::uint64_t hash_of(const std::string& text);

// How far clocks of hosts may differ for a change to be seen: times from there have whole seconds of another clock.
inline constexpr std::int64_t k_clocks_differ_ns = 60'000'000'000;

// Where a server tells no time: the first that a zip archive can hold, 1980-01-01.
inline constexpr std::int64_t k_no_time_ns = 315'532'800LL * 1'000'000'000;
// Of a server's times, in seconds since 1970, the first whose nanoseconds don't surely fit 64 bits.
inline constexpr std::int64_t k_last_second = 9'000'000'000;

// Whether a file of that modification time, in another host's seconds, changed so long ago that its next change has
// another.
bool is_settled(std::int64_t mtime_ns);

// Two paths, either of which may be empty, with one '/' between them.
std::string join(const std::string& parent, const std::string& child);

// Where a file is written before it is whole: a hidden name beside it, "builds/ab/.abcdef.zip.part".
std::string partial_name(const std::string& path);

// The same of a link that is to lead to `path`: no two builds share it.
std::string partial_link(const std::string& link, const std::string& path);

// The name of the small file that a probe writes and removes: ".zipmodule.check.", and something that nobody else has.
std::string probe_name();

// What `link` leads to, seen from where it stands: "../../builds/ab/abcdef.zip" for public/<series>/<archive>.zip.
std::string seen_from(const std::string& link, const std::string& path);

// What is behind `folder` in `path`: both of components divided by '/'; nullopt where it is not below it.
std::optional<std::string> below(const std::string& folder, const std::string& path);

// Of digits alone; nullopt where there is anything else, or too much of it.
std::optional<std::uint64_t> number_of(std::string_view text);

// "2026-05-17T15:09:54Z", or with parts of a second, as seconds since 1970; nullopt for everything else.
std::optional<std::int64_t> time_of(const std::string& text);

// Error{stopped}
Error stopped_waiting();

// What goes wrong with a host is told as that of a source; this says the same of target `name`.
Error to_target_error(const std::string& name, const Error& error);

}  // namespace zipmodule::storage
