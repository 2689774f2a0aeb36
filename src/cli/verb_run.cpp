#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "base/log.hpp"
#include "base/signals.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "run/dry_run.hpp"
#include "run/run.hpp"

namespace zipmodule::cli {
namespace {

struct RunArguments {
  bool dry_run = false;
  bool quiet = false;
};

Json to_json(const run::PlannedJob& job) {
  Json document{{"series", job.series}, {"archive", job.archive}, {"revision", job.revision}};
  document["action"] = job.link_only ? "link" : "build";
  if (job.error) {
    document["error"] = {{"kind", job.error->code()}, {"message", job.error->what()}, {"hint", job.error->hint()}};
  }
  if (!job.plan) return document;
  Json entries = Json::array();
  for (std::size_t i = 0; i < job.plan->size(); ++i) {
    const auto entry = job.plan->at(i);
    entries.push_back({{"name", entry.name}, {"size", entry.size_bytes}, {"source", job.plan->source_name(i)}});
  }
  document["entries"] = std::move(entries);
  document["bytes"] = job.plan->content_bytes();
  document["missing"] = job.plan->missing();
  document["warnings"] = job.plan->warnings();
  return document;
}

void print_plan(const archive::Plan& plan) {
  constexpr std::size_t k_at_once = 64 << 10;  // a plan has up to a million entries, and print() flushes
  std::string text = fmt::format("{} entries, {} bytes\n", plan.size(), plan.content_bytes());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto entry = plan.at(i);
    text +=
        fmt::format("  {:>12}  {}  <- {}\n", entry.size_bytes, printable(entry.name), printable(plan.source_name(i)));
    if (text.size() < k_at_once) continue;
    print(text);
    text.clear();
  }
  for (const auto& missing : plan.missing()) text += fmt::format("  missing: {}\n", printable(missing));
  for (const auto& warning : plan.warnings()) text += fmt::format("  warning: {}\n", printable(warning));
  print(text);
}

void print_job(const run::PlannedJob& job) {
  print(fmt::format("{}/{} revision {}: ", printable(job.series), printable(job.archive), job.revision));
  if (job.link_only) print("is built; its link would be switched\n");
  if (job.error) print(fmt::format("would fail: {}: {}\n", job.error->code(), printable(job.error->what())));
  if (job.plan) print_plan(*job.plan);
}

int dry_run(const config::Config& config, bool as_json) {
  Json documents = Json::array();
  const auto due = run::dry_run(config, [&](const run::PlannedJob& job) {
    if (as_json)
      documents.push_back(to_json(job));
    else
      print_job(job);
  });
  if (as_json)
    print_json(documents);
  else if (due == 0)
    print("nothing is due\n");
  return 0;
}

int run(const Globals& globals, const RunArguments& arguments) {
  const auto config = config::load(globals.config_file);
  if (arguments.dry_run) {
    log::configure(globals.verbosity);
    return dry_run(config, globals.json);
  }
  // Before any other thread, so that all inherit the blocked signals.
  const SignalStop signals;
  log::configure(globals.verbosity, config.log.file);
  const bool show_progress = !arguments.quiet && ::isatty(STDERR_FILENO) == 1;
  return run::execute(config, {version(), show_progress}, signals.token());
}

}  // namespace

Verb run_verb(const Globals& globals) {
  auto arguments = std::make_shared<RunArguments>();
  return {
      .name = "run",
      .help = "Build what is due, as cron does every minute",
      .options =
          {
              {.name = "--dry-run",
               .value = &arguments->dry_run,
               .help = "Print what would be built, entry by entry; change nothing"},
              {.name = "-q,--quiet", .value = &arguments->quiet, .help = "No progress bars on a terminal either"},
          },
      .action = [&globals, arguments] { return run(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
