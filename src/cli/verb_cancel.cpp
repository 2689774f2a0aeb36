#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/database.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "queue/publisher.hpp"

namespace zipmodule::cli {
namespace {

int cancel(const Globals& globals, const std::string& series, const std::string& archive) {
  const auto options = ready_connection(globals, "cancel");
  if (!queue::Publisher(options).cancel(series, archive)) {
    return nothing_changed(options, series, archive, "there is nothing to cancel");
  }
  if (globals.json) {
    print_json(Json{{"series", series}, {"archive", archive}, {"changed", true}});
  } else {
    print(fmt::format("{}/{} is cancelled\n", printable(series), printable(archive)));
  }
  return 0;
}

}  // namespace

Verb cancel_verb(const Globals& globals) {
  auto series = std::make_shared<std::string>();
  auto archive = std::make_shared<std::string>();
  return {
      .name = "cancel",
      .help = "Drop what is wanted of an archive; what was built stays",
      .options =
          {
              {.name = "SERIES", .value = series.get(), .help = "What the archive belongs to", .required = true},
              {.name = "ARCHIVE", .value = archive.get(), .help = "Its name in the series", .required = true},
          },
      .action = [&globals, series, archive] { return cancel(globals, *series, *archive); },
  };
}

}  // namespace zipmodule::cli
