#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/database.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "queue/publisher.hpp"

namespace zipmodule::cli {
namespace {

struct PublishArguments {
  std::string series;
  std::string archive;
  std::string file = "-";
  std::vector<std::string> options;  // k=v
};

std::string read_all(std::istream& stream, const std::string& name) {
  std::ostringstream text;
  errno = 0;
  text << stream.rdbuf();
  if (stream.bad()) throw Error(ErrorKind::usage, fmt::format("read {}: {}", name, errno_text(errno)));
  return std::move(text).str();
}

std::string read_file_list(const std::string& file) {
  if (file == "-") {
    if (::isatty(STDIN_FILENO) == 1) message("reading the list of files from the terminal; end it with Ctrl-D");
    return read_all(std::cin, "stdin");
  }
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Error(ErrorKind::usage, fmt::format("open {}: {}", file, errno_text(errno)));
  return read_all(stream, file);
}

// The database judges what is listed; that it is JSON at all is better said here, with the place in the file.
void require_json(const std::string& text, const std::string& file) {
  if (Json::accept(text)) return;
  const std::string name = file == "-" ? "stdin" : file;
  try {
    const Json parsed = Json::parse(text);
  } catch (const Json::parse_error& failure) {
    const std::string_view what = failure.what();
    const auto begin = what.find("] ");
    throw Error(ErrorKind::payload,
                fmt::format("{} is not JSON: {}", name, what.substr(begin == std::string_view::npos ? 0 : begin + 2)),
                "a list of files looks like [{\"source\": \"series/42/cover.jpg\"}]");
  }
}

std::map<std::string, std::string> options_of(const std::vector<std::string>& words) {
  std::map<std::string, std::string> options;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(ErrorKind::usage, fmt::format("--option {} must have the form key=value", word),
                  "such as --option priority=10");
    }
    const auto [place, added] = options.emplace(word.substr(0, equals), word.substr(equals + 1));
    if (!added) throw Error(ErrorKind::usage, fmt::format("--option {} is given twice", place->first));
  }
  return options;
}

int publish(const Globals& globals, const PublishArguments& arguments) {
  queue::PublishRequest request{arguments.series, arguments.archive, {}, options_of(arguments.options)};
  request.files_json = read_file_list(arguments.file);
  require_json(request.files_json, arguments.file);
  const auto published = queue::Publisher(ready_connection(globals, "publish")).publish(request);
  if (globals.json) {
    print_json(Json{{"job_id", published.job_id}, {"revision", published.revision}});
  } else {
    print(fmt::format("published {}/{}: job {}, revision {}\n", printable(arguments.series),
                      printable(arguments.archive), published.job_id, published.revision));
  }
  return 0;
}

}  // namespace

Verb publish_verb(const Globals& globals) {
  auto arguments = std::make_shared<PublishArguments>();
  return {
      .name = "publish",
      .help = "Say what an archive shall contain, as a CMS does",
      .options =
          {
              {.name = "SERIES", .value = &arguments->series, .help = "What the archive belongs to", .required = true},
              {.name = "ARCHIVE", .value = &arguments->archive, .help = "Its name in the series", .required = true},
              {.name = "FILE",
               .value = &arguments->file,
               .help = "The list of files as JSON; - or nothing: from stdin"},
              {.name = "--option",
               .value = &arguments->options,
               .help = "May be repeated; keys: metadata, priority, lane, quiet, max_wait, on_missing, level, mode, "
                       "store, deliver",
               .shown = "KEY=VALUE"},
          },
      .action = [&globals, arguments] { return publish(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
