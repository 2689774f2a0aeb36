#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/signals.hpp"
#include "base/thread_pool.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::cli {
namespace {

struct InspectArguments {
  std::string archive;
  bool verify = false;
};

std::string iso_time(zip::TimeNs time) {
  const std::time_t seconds = zip::floor_seconds(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

std::string method_name(std::uint16_t method) {
  if (method == static_cast<std::uint16_t>(zip::Method::stored)) return "stored";
  if (method == static_cast<std::uint16_t>(zip::Method::deflated)) return "deflated";
  return fmt::format("method {}", method);
}

Json to_json(const zip::CentralRecord& record) {
  return Json{{"name", record.name},
              {"method", method_name(record.method)},
              {"size", record.size_bytes},
              {"compressed", record.compressed_bytes},
              {"crc", fmt::format("{:08x}", record.crc)},
              {"mtime", iso_time(record.mtime)},
              {"mode", fmt::format("{:04o}", record.mode())},
              {"offset", record.offset},
              {"encrypted", (record.flags & zip::k_flag_encrypted) != 0}};
}

void print_record(const zip::CentralRecord& record) {
  print(fmt::format("{:04o}  {}  {:08x}  {:<9}{:>14}{:>14}  {}\n", record.mode(), iso_time(record.mtime), record.crc,
                    method_name(record.method), record.compressed_bytes, record.size_bytes, printable(record.name)));
}

// Lists the entries as they come, so that an archive of a million takes no memory; JSON is one document and holds them.
Json list_entries(const zip::ArchiveFile& file, bool json) {
  zip::CentralDirectory directory(file, zip::read_end_record(file));
  Json entries = Json::array();
  std::uint64_t count = 0;
  std::uint64_t size = 0;
  while (const auto record = directory.next()) {
    ++count;
    size += record->size_bytes;
    if (json)
      entries.push_back(to_json(*record));
    else
      print_record(*record);
  }
  const std::string fingerprint = directory.fingerprint();
  if (!json) {
    print(fmt::format("{}, {} in {}, fingerprint {}\n", human_count(count, "entry", "entries"), human_bytes(size),
                      human_bytes(file.size_bytes), fingerprint));
  }
  return Json{{"archive", file.path},
              {"bytes", file.size_bytes},
              {"fingerprint", fingerprint},
              {"entries", std::move(entries)}};
}

int inspect(const Globals& globals, const InspectArguments& arguments) {
  const SignalStop signals;
  const Fd fd(::open(arguments.archive.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) throw Error(ErrorKind::io, fmt::format("open {}: {}", arguments.archive, errno_text(errno)));
  const auto file = zip::open_archive(fd.get(), arguments.archive);
  if (!arguments.verify) {
    const Json document = list_entries(file, globals.json);
    if (globals.json) print_json(document);
    return 0;
  }
  ThreadPool pool(std::max(1U, std::thread::hardware_concurrency()));
  const auto report = zip::verify_archive(file, pool, signals.token());
  if (globals.json) {
    print_json(Json{{"archive", file.path},
                    {"bytes", file.size_bytes},
                    {"entries", report.entries},
                    {"ok", report.ok()},
                    {"fingerprint", report.fingerprint},
                    {"problems", report.problems}});
  } else if (report.ok()) {
    print(fmt::format("{}: {} {} whole\n", file.path, human_count(report.entries, "entry", "entries"),
                      report.entries == 1 ? "is" : "are"));
  }
  if (!globals.json) {
    for (const std::string& problem : report.problems) message(problem);
  }
  return report.ok() ? 0 : traits_of(ErrorKind::corrupt).exit_code;
}

}  // namespace

Verb inspect_verb(const Globals& globals) {
  auto arguments = std::make_shared<InspectArguments>();
  return {
      .name = "inspect",
      .help = "Show what is inside an archive",
      .options =
          {
              {.name = "ARCHIVE",
               .value = &arguments->archive,
               .help = "A zip file, ours or anyone's",
               .required = true},
              {.name = "--verify",
               .value = &arguments->verify,
               .help = "Decode everything and check it against sizes and CRCs"},
          },
      .action = [&globals, arguments] { return inspect(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
