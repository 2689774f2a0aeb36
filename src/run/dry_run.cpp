#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "archive/file_list.hpp"
#include "base/error.hpp"
#include "queue/migrations.hpp"
#include "run/run.hpp"
#include "run/site.hpp"

namespace zipmodule::run {
namespace {

using nlohmann::json;

// What is shown of one run: more than a person reads, and a bound for a queue of a million jobs.
constexpr std::size_t k_jobs_most = 1'000;

json plan_as_json(const queue::ClaimedJob& job, const archive::Roots& roots, archive::PlanOptions options) {
  json document{{"series", job.series}, {"archive", job.archive}, {"revision", job.lease.revision}};
  if (job.built_revision == job.lease.revision) {
    document["action"] = "link";
    return document;
  }
  document["action"] = "build";
  options.skip_missing = job.on_missing == "skip";
  try {
    const auto plan = archive::make_plan(archive::parse_file_list(job.files_json), roots, options, {});
    json entries = json::array();
    for (std::size_t i = 0; i < plan->size(); ++i) {
      const auto entry = plan->at(i);
      entries.push_back({{"name", entry.name}, {"size", entry.size_bytes}, {"source", plan->source_name(i)}});
    }
    document["entries"] = std::move(entries);
    document["bytes"] = plan->content_bytes();
    document["missing"] = plan->missing();
    document["warnings"] = plan->warnings();
  } catch (const Error& error) {
    document["error"] = {{"kind", error.code()}, {"message", error.what()}, {"hint", error.hint()}};
  }
  return document;
}

void print_plan(const json& document) {
  const auto text = [](const json& value) { return value.get<std::string>(); };
  fmt::print("{}/{} revision {}: ", text(document["series"]), text(document["archive"]),
             document["revision"].get<std::int64_t>());
  if (document.contains("error")) {
    const json& error = document["error"];
    fmt::print("would fail: {}: {}\n", text(error["kind"]), text(error["message"]));
    return;
  }
  if (document["action"] == "link") {
    fmt::print("is built; its link would be switched\n");
    return;
  }
  fmt::print("{} entries, {} bytes\n", document["entries"].size(), document["bytes"].get<std::uint64_t>());
  for (const json& entry : document["entries"]) {
    fmt::print("  {:>12}  {}  <- {}\n", entry["size"].get<std::uint64_t>(), text(entry["name"]), text(entry["source"]));
  }
  for (const json& missing : document["missing"]) fmt::print("  missing: {}\n", text(missing));
  for (const json& warning : document["warnings"]) fmt::print("  warning: {}\n", text(warning));
}

}  // namespace

int dry_run(const config::Config& config, bool as_json) {
  queue::require_current_schema({config.database.dsn, "zipmodule run --dry-run"});
  queue::Worker worker(worker_options(config));
  std::vector<Error> problems;
  const archive::Roots roots = open_roots(config, &problems);
  json documents = json::array();
  for (const auto& job : worker.peek(k_jobs_most)) {
    const json document = plan_as_json(job, roots, plan_options(config));
    if (as_json)
      documents.push_back(document);
    else
      print_plan(document);
  }
  if (as_json)
    fmt::print("{}\n", documents.dump(2, ' ', false, json::error_handler_t::replace));
  else if (worker.peek(1).empty())
    fmt::print("nothing is due\n");
  return 0;
}

}  // namespace zipmodule::run
