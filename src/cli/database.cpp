#include "cli/database.hpp"

#include <fmt/format.h>

#include "cli/format.hpp"
#include "cli/output.hpp"
#include "config/config.hpp"
#include "queue/migrations.hpp"

namespace zipmodule::cli {

queue::ConnectionOptions connection_options(const Globals& globals, const std::string& verb) {
  return {config::load_database(globals.config_file).dsn, "zipmodule " + verb};
}

queue::ConnectionOptions ready_connection(const Globals& globals, const std::string& verb) {
  auto options = connection_options(globals, verb);
  queue::require_current_schema(options);
  return options;
}

int unknown_archive(const std::string& series, const std::string& archive) {
  message(
      fmt::format("nothing was ever published as archive '{}' of series '{}'", printable(archive), printable(series)),
      "`zipmodule status` lists all series and archives");
  return 1;
}

int nothing_changed(const queue::ConnectionOptions& options, const std::string& series, const std::string& archive,
                    const std::string& nothing) {
  const auto rows = queue::Reader(options).status(series, archive);
  if (rows.empty()) return unknown_archive(series, archive);
  message(fmt::format("{}/{} is {}: {}", printable(series), printable(archive), rows.front().state, nothing),
          fmt::format("`zipmodule explain {} {}` tells more", shell_quoted(series), shell_quoted(archive)));
  return 1;
}

}  // namespace zipmodule::cli
