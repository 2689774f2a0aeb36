#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "cli/database.hpp"
#include "cli/format.hpp"
#include "cli/job_json.hpp"
#include "cli/output.hpp"
#include "cli/status_text.hpp"
#include "cli/verbs.hpp"

namespace zipmodule::cli {
namespace {

// More than anybody reads; the queue may hold millions.
constexpr std::size_t k_most_rows = 10'000;

struct StatusArguments {
  std::optional<std::string> series;
  std::optional<std::string> archive;
};

int nothing_found(const StatusArguments& arguments) {
  if (arguments.archive) return unknown_archive(*arguments.series, *arguments.archive);
  if (arguments.series) {
    message(fmt::format("nothing was ever published in series '{}'", printable(*arguments.series)),
            "`zipmodule status` lists all series and archives");
    return 1;
  }
  message("nothing was published yet");
  return 0;
}

int status_of_one(queue::Reader& reader, const StatusArguments& arguments) {
  const auto detail = reader.detail(*arguments.series, *arguments.archive, 0);
  if (!detail) return nothing_found(arguments);
  print(status_block(*detail, stdout_has_colours()));
  return 0;
}

int status(const Globals& globals, const StatusArguments& arguments) {
  queue::Reader reader(ready_connection(globals, "status"));
  if (arguments.archive && !globals.json) return status_of_one(reader, arguments);
  const auto jobs = reader.status(arguments.series, arguments.archive, k_most_rows);
  if (jobs.size() == k_most_rows) {
    message(fmt::format("only the first {} jobs are shown", k_most_rows), "name a series");
  }
  if (globals.json) {
    Json rows = Json::array();
    for (const auto& job : jobs) rows.push_back(to_json(job));
    print_json(rows);
  } else if (!jobs.empty()) {
    print(status_table(jobs, std::chrono::system_clock::now(), stdout_has_colours()));
  }
  return jobs.empty() ? nothing_found(arguments) : 0;
}

}  // namespace

Verb status_verb(const Globals& globals) {
  auto arguments = std::make_shared<StatusArguments>();
  return {
      .name = "status",
      .help = "Show states, progress, ages and last errors",
      .options =
          {
              {.name = "SERIES", .value = &arguments->series, .help = "Only this series"},
              {.name = "ARCHIVE", .value = &arguments->archive, .help = "Only this archive of it, in detail"},
          },
      .action = [&globals, arguments] { return status(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
