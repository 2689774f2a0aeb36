#include "queue/reader.hpp"

#include "queue/connection_impl.hpp"
#include "queue/rows.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

template <class T>
std::optional<T> optional_of(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return field.as<T>();
}

JobStatus job_status_of(const pqxx::row& row) {
  JobStatus status;
  status.job_id = row["job_id"].as<std::int64_t>();
  status.series = row["series"].c_str();
  status.archive = row["archive"].c_str();
  status.lane = row["lane"].c_str();
  status.state = row["state"].c_str();
  status.priority = row["priority"].as<int>();
  status.wanted_revision = row["wanted_revision"].as<std::int64_t>();
  status.built_revision = row["built_revision"].as<std::int64_t>();
  status.published_at = row["published_at"].c_str();
  status.due_at = text_or_empty(row["due_at"]);
  status.attempts = row["attempts"].as<int>();
  status.progress = row["progress"].as<double>();
  status.queue_position = optional_of<std::int64_t>(row["queue_position"]);
  status.path = text_or_empty(row["path"]);
  status.bytes = optional_of<std::uint64_t>(row["bytes"]);
  status.entries = optional_of<std::uint64_t>(row["entries"]);
  status.fingerprint = text_or_empty(row["fingerprint"]);
  status.last_error_kind = text_or_empty(row["last_error_kind"]);
  status.last_error = text_or_empty(row["last_error"]);
  status.metadata_json = row["metadata"].c_str();
  return status;
}

DeliveryStatus delivery_status_of(const pqxx::row& row) {
  DeliveryStatus status;
  status.target = row["target"].c_str();
  status.state = row["state"].c_str();
  status.required = row["required"].as<bool>();
  status.attempts = row["attempts"].as<int>();
  status.due_in_seconds = optional_of<double>(row["due_in_seconds"]).value_or(0);
  status.instance = row["instance"].c_str();
  status.delivered_at = text_or_empty(row["delivered_at"]);
  status.last_error_kind = text_or_empty(row["last_error_kind"]);
  status.last_error = text_or_empty(row["last_error"]);
  return status;
}

const char* text_or_null(const std::optional<std::string>& text) { return text ? text->c_str() : nullptr; }

}  // namespace

Reader::Reader(const ConnectionOptions& options) : connection_(std::make_unique<Connection>(options)) {}
Reader::~Reader() = default;

std::vector<JobStatus> Reader::status(const std::optional<std::string>& series,
                                      const std::optional<std::string>& archive, std::size_t most) {
  std::vector<JobStatus> jobs;
  const auto rows = series && archive
                        ? connection_->run(sql::status_of, *series, *archive)
                        : connection_->run(sql::status, text_or_null(series), text_or_null(archive), most);
  for (const auto& row : rows) jobs.push_back(job_status_of(row));
  return jobs;
}

std::optional<JobDetail> Reader::detail(const std::string& series, const std::string& archive, std::size_t attempts) {
  return connection_->transact([&](pqxx::work& transaction) -> std::optional<JobDetail> {
    const auto found = query(transaction, sql::status_of, series, archive);
    if (found.empty()) return std::nullopt;
    JobDetail detail;
    detail.status = job_status_of(found[0]);
    const auto rows = query(transaction, sql::detail, detail.status.job_id);
    if (rows.empty()) return std::nullopt;
    const auto row = rows[0];
    detail.age_seconds = row["age_seconds"].as<double>();
    detail.due_in_seconds = row["due_in_seconds"].as<double>();
    detail.lease_by = text_or_empty(row["lease_by"]);
    detail.lease_left_seconds = optional_of<double>(row["lease_left_seconds"]).value_or(0);
    detail.files_json = row["files"].c_str();
    detail.on_missing = row["on_missing"].c_str();
    detail.store = text_or_empty(row["store"]);
    detail.store_known = row["store_known"].as<bool>();
    for (const auto& there : query(transaction, sql::deliveries_of, detail.status.job_id)) {
      detail.deliveries.push_back(delivery_status_of(there));
    }
    for (const auto& attempt : query(transaction, sql::recent_attempts, detail.status.job_id, attempts)) {
      detail.recent_attempts_json.emplace_back(attempt[0].c_str());
    }
    return detail;
  });
}

QueueHealth Reader::health() {
  const auto row = connection_->run(sql::health)[0];
  QueueHealth health;
  health.pending = row["pending"].as<std::int64_t>();
  health.waiting = row["waiting"].as<std::int64_t>();
  health.running = row["running"].as<std::int64_t>();
  health.failed = row["failed"].as<std::int64_t>();
  health.delivering = row["delivering"].as<std::int64_t>();
  health.undelivered = row["undelivered"].as<std::int64_t>();
  health.oldest_delivery_seconds = row["oldest_delivery_seconds"].as<double>();
  health.done = row["done"].as<std::int64_t>();
  health.cancelled = row["cancelled"].as<std::int64_t>();
  health.oldest_due_seconds = row["oldest_due_seconds"].as<double>();
  health.last_run_json = text_or_empty(row["last_run"]);
  health.server_version = row["server_version"].as<int>();
  return health;
}

std::vector<WaitingStore> Reader::stores_without_host() {
  std::vector<WaitingStore> stores;
  for (const auto& row : connection_->run(sql::stores_without_host))
    stores.push_back({row["store"].c_str(), row["jobs"].as<std::uint64_t>()});
  return stores;
}

}  // namespace zipmodule::queue
