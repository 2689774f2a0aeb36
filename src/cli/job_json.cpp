#include "cli/job_json.hpp"

#include <optional>

namespace zipmodule::cli {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

Json json_of(const std::string& text) {
  if (text.empty()) return {};
  auto document = Json::parse(text, nullptr, false);
  return document.is_discarded() ? Json(text) : document;
}

Json to_json(const queue::JobStatus& status) {
  Json row;
  row["job_id"] = status.job_id;
  row["series"] = status.series;
  row["archive"] = status.archive;
  row["lane"] = status.lane;
  row["state"] = status.state;
  row["priority"] = status.priority;
  row["wanted_revision"] = status.wanted_revision;
  row["built_revision"] = status.built_revision;
  row["published_at"] = or_null(status.published_at);
  row["due_at"] = or_null(status.due_at);
  row["attempts"] = status.attempts;
  row["progress"] = status.progress;
  row["queue_position"] = or_null(status.queue_position);
  row["path"] = or_null(status.path);
  row["bytes"] = or_null(status.bytes);
  row["entries"] = or_null(status.entries);
  row["fingerprint"] = or_null(status.fingerprint);
  row["last_error_kind"] = or_null(status.last_error_kind);
  row["last_error"] = or_null(status.last_error);
  row["metadata"] = json_of(status.metadata_json);
  return row;
}

Json to_json(const queue::JobDetail& detail) {
  Json row = to_json(detail.status);
  row["age_seconds"] = detail.age_seconds;
  row["due_in_seconds"] = detail.due_in_seconds;
  row["lease_by"] = or_null(detail.lease_by);
  row["lease_left_seconds"] = detail.lease_by.empty() ? Json() : Json(detail.lease_left_seconds);
  row["files"] = json_of(detail.files_json);
  row["on_missing"] = detail.on_missing;
  row["store"] = or_null(detail.store);
  row["deliveries"] = Json::array();
  for (const auto& there : detail.deliveries) {
    row["deliveries"].push_back({{"target", there.target},
                                 {"state", there.state},
                                 {"required", there.required},
                                 {"attempts", there.attempts},
                                 {"due_in_seconds", there.state == "delivered" ? Json() : Json(there.due_in_seconds)},
                                 {"delivered_at", or_null(there.delivered_at)},
                                 {"last_error_kind", or_null(there.last_error_kind)},
                                 {"last_error", or_null(there.last_error)}});
  }
  row["attempts_made"] = Json::array();
  for (const auto& attempt : detail.recent_attempts_json) row["attempts_made"].push_back(json_of(attempt));
  return row;
}

std::string text_of(const Json& row, const char* key) {
  if (!row.is_object() || !row.contains(key)) return {};
  const Json& value = row.at(key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? std::string() : value.dump();
}

double number_of(const Json& row, const char* key) {
  if (!row.is_object() || !row.contains(key) || !row.at(key).is_number()) return 0;
  return row.at(key).get<double>();
}

}  // namespace zipmodule::cli
