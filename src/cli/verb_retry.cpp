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

int retry(const Globals& globals, const std::string& series, const std::string& archive) {
  const auto options = ready_connection(globals, "retry");
  if (!queue::Publisher(options).retry(series, archive)) {
    return nothing_changed(options, series, archive, "there is nothing to retry");
  }
  if (globals.json) {
    print_json(Json{{"series", series}, {"archive", archive}, {"changed", true}});
  } else {
    print(fmt::format("{}/{} is due again\n", printable(series), printable(archive)));
  }
  return 0;
}

}  // namespace

Verb retry_verb(const Globals& globals) {
  auto series = std::make_shared<std::string>();
  auto archive = std::make_shared<std::string>();
  return {
      .name = "retry",
      .help = "Make a failed, waiting or cancelled archive due now",
      .options =
          {
              {.name = "SERIES", .value = series.get(), .help = "What the archive belongs to", .required = true},
              {.name = "ARCHIVE", .value = archive.get(), .help = "Its name in the series", .required = true},
          },
      .action = [&globals, series, archive] { return retry(globals, *series, *archive); },
  };
}

}  // namespace zipmodule::cli
