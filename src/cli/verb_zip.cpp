#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <thread>

#include "archive/standalone.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "run/status_line.hpp"

namespace zipmodule::cli {
namespace {

struct ZipArguments {
  archive::StandaloneRequest request;
  std::string level = "balanced";
  std::string base;
  std::string verify_reuse = "sample";
  std::string align = "auto";
  std::vector<std::string> exclude;
  bool no_exclude = false;
  unsigned threads = 0;  // 0: as many as there are processors
};

// Bytes in flight: the default of run.memory.
constexpr std::uint64_t k_memory_bytes = std::uint64_t{256} << 20U;

Json to_json(const archive::StandaloneResult& result, const std::string& output, double seconds) {
  return Json{{"archive", output},
              {"entries", result.entries},
              {"entries_reused", result.entries_reused},
              {"files_excluded", result.files_excluded},
              {"bytes_in", result.write.bytes_in},
              {"bytes", result.write.bytes_out},
              {"bytes_shared", result.write.bytes_shared},
              {"fingerprint", result.fingerprint},
              {"seconds", seconds},
              {"warnings", result.warnings}};
}

// Names that are not what their sources are called, or trouble Windows: how many, and the first; with -v all that are
// kept.
void report_names(const archive::StandaloneResult& result) {
  for (const std::string& warning : result.warnings) log::info("{}", warning);
  if (result.warned == 0) return;
  log::warn("{}; the first: {}",
            human_count(result.warned, "name is changed or troubles Windows", "names are changed or trouble Windows"),
            result.warnings.front());
}

int zip(const Globals& globals, const ZipArguments& arguments) {
  const SignalStop signals;
  log::configure(globals.verbosity);
  archive::StandaloneRequest request = arguments.request;
  request.level = zip::parse_level(arguments.level).value_or(zip::Level::balanced);
  if (!arguments.base.empty()) request.base = arguments.base;
  request.verify_reuse = archive::parse_verify_reuse(arguments.verify_reuse).value_or(archive::VerifyReuse::sample);
  request.align = arguments.align == "auto";
  for (const std::string& pattern : arguments.exclude) {
    if (const auto problem = config::exclude_problem(pattern))
      throw Error(ErrorKind::usage, fmt::format("--exclude: {}", *problem), "see `zipmodule zip --help`");
  }
  if (!arguments.no_exclude) request.exclude = config::Zip().exclude;
  request.exclude.insert(request.exclude.end(), arguments.exclude.begin(), arguments.exclude.end());
  ThreadPool pool(arguments.threads > 0 ? arguments.threads : std::max(1U, std::thread::hardware_concurrency()));
  ByteBudget budget(k_memory_bytes);
  archive::BuildProgress progress;
  std::optional<run::StatusLine> line;
  if (::isatty(STDERR_FILENO) == 1) {
    line.emplace([&] { return fmt::format("{} {}", request.output, run::progress_bar(progress.fraction(), 40)); });
  }
  Stopwatch watch;
  const auto result = archive::write_standalone(request, {pool, budget}, signals.token(), progress);
  line.reset();
  if (!result.base_problem.empty()) log::warn("the base was not used: {}", result.base_problem);
  report_names(result);
  if (globals.json) {
    print_json(to_json(result, request.output, watch.seconds()));
  } else {
    log::info("{}: {} in {}, {} reused, {} excluded, {} in {:.2f} s", request.output,
              human_count(result.entries, "entry", "entries"), human_bytes(result.write.bytes_out),
              result.entries_reused, result.files_excluded, human_bytes(result.write.bytes_in), watch.seconds());
  }
  return 0;
}

}  // namespace

Verb zip_verb(const Globals& globals) {
  auto arguments = std::make_shared<ZipArguments>();
  return {
      .name = "zip",
      .help = "Make an archive of files and folders, without any database",
      .options =
          {
              {.name = "OUT",
               .value = &arguments->request.output,
               .help = "The archive to write; an existing one is replaced when the new is whole",
               .required = true},
              {.name = "PATH",
               .value = &arguments->request.paths,
               .help = "Files and folders; 'dir/' is what is in the folder, without it",
               .required = true},
              {.name = "--level",
               .value = &arguments->level,
               .help = "store, fast, balanced or small; entries copied from the base stay as they are",
               .shown = "LEVEL [balanced]",
               .one_of = {"store", "fast", "balanced", "small"}},
              {.name = "--threads",
               .value = &arguments->threads,
               .help = "Threads; the archive is the same with any number",
               .shown = "N [all processors]",
               .range = {{1, 1024}}},
              {.name = "--base",
               .value = &arguments->base,
               .help = "An older archive: entries whose size and time are unchanged are copied from it.\n"
                       "Most of its data is trusted, unless --verify-reuse is always",
               .shown = "OLD.zip"},
              {.name = "--verify-reuse",
               .value = &arguments->verify_reuse,
               .help = "What is copied from the base is read again and compared with its CRC: never, one entry\n"
                       "in 32 (sample), or always, which is what no word means; what another program wrote always is",
               .shown = "[HOW]",
               .one_of = {"never", "sample", "always"},
               .alone = "always"},
              {.name = "--align",
               .value = &arguments->align,
               .help = "auto: where the file system can share blocks between files, large stored entries begin at "
                       "one; or off",
               .shown = "HOW [auto]",
               .one_of = {"auto", "off"}},
              {.name = "--exclude",
               .value = &arguments->exclude,
               .help =
                   "Leave out names like this from folders, beside .DS_Store, ._*, Thumbs.db, desktop.ini, @eaDir,\n"
                   ".nfs* and lost+found. With a '/': the path below the folder. May be given several times",
               .shown = "PATTERN"},
              {.name = "--no-exclude", .value = &arguments->no_exclude, .help = "Leave out only what --exclude says"},
              {.name = "--sync", .value = &arguments->request.sync, .help = "Return when the archive is on the disk"},
          },
      .action = [&globals, arguments] { return zip(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
