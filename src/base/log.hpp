// Where messages go: trouble to stderr (cron mails it), the whole story to a file where one is configured.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <optional>

namespace zipmodule::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sets up the default logger; called once by main's thread before others start. verbosity 0: warnings and errors on
// stderr; 1: info too; 2: debug too. With `file`, info and up are appended there as well (opened by name at each start,
// so logrotate needs no signal). Messages are made printable, and their further lines indented: names in them come from
// publishers and disks. Throws Error{config} if the file can't be opened.
void configure(int verbosity, const std::optional<std::filesystem::path>& file = std::nullopt);

}  // namespace zipmodule::log
