#include "cli/config_json.hpp"

#include "cli/format.hpp"
#include "queue/connection.hpp"
#include "run/ping.hpp"

namespace zipmodule::cli {

Json to_json(const config::Config& config) {
  Json document;
  document["database"]["dsn"] = config.database.dsn.empty() ? "" : queue::redacted(config.database.dsn);
  for (const auto& [name, place] : config.content.roots) {
    const auto marker = config.content.markers.find(name);
    const auto* https = std::get_if<config::HttpsPlace>(&place);
    Json& root = document["content"]["roots"][name];
    root = to_string(place);
    const bool redirects = https != nullptr && !https->redirects.empty();
    if (marker == config.content.markers.end() && !redirects) continue;
    root = {{"url", to_string(place)}};
    if (marker != config.content.markers.end()) root["marker"] = marker->second;
    if (redirects) root["redirects"] = https->redirects;
  }
  document["archives"] = {
      {"root", config.archives.root.string()},
      {"store", config.archives.store},
      {"grace", duration_text(config.archives.grace)},
      {"min_free", size_text(config.archives.min_free_bytes)},
  };
  document["archives"]["deliver"] = Json::object();
  for (const auto& [name, target] : config.archives.deliver) {
    document["archives"]["deliver"][name] = {{"url", to_string(target.place)}, {"required", target.required}};
  }
  document["run"] = {
      {"lock_file", config.run.lock_file.string()},
      {"lock_busy_exit", config.run.lock_busy_exit},
      {"host", config.run.host},
      {"workers", config.run.workers},
      {"threads", config.run.threads},
      {"memory", size_text(config.run.memory_bytes)},
      {"max_runtime", duration_text(config.run.max_runtime)},
      {"linger", duration_text(config.run.linger)},
      {"lease", duration_text(config.run.lease)},
      {"max_attempts", config.run.max_attempts},
      {"lane_max", config.run.lane_max},
      {"metrics_file", config.run.metrics_file ? Json(config.run.metrics_file->string()) : Json()},
      // Whoever knows all of it can send pings.
      {"ping_url", config.run.ping_url.empty() ? Json() : Json(run::redacted_ping_url(config.run.ping_url))},
  };
  document["keep"] = {
      {"telemetry", duration_text(config.keep.telemetry)},
      {"runs", duration_text(config.keep.runs)},
  };
  document["check"] = {
      {"late", duration_text(config.check.late)},
      {"transaction", duration_text(config.check.transaction)},
  };
  document["zip"] = {
      {"level", config.zip.level},
      {"align", config.zip.align},
      {"verify_reuse", config.zip.verify_reuse},
      {"on_duplicate", config.zip.on_duplicate},
      {"portable_names", config.zip.portable_names},
      {"allow_empty", config.zip.allow_empty},
      {"exclude", config.zip.exclude},
  };
  document["limits"] = {
      {"max_entries", config.limits.max_entries},
      {"max_bytes", size_text(config.limits.max_bytes)},
      {"max_depth", config.limits.max_depth},
  };
  document["log"]["file"] = config.log.file ? Json(config.log.file->string()) : Json();
  return document;
}

}  // namespace zipmodule::cli
