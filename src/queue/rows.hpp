// From result rows to the values of job.hpp and worker.hpp. The columns are those of sql/queries.
#pragma once

#include <optional>
#include <sstream>
#include <string>

#include "queue/connection_impl.hpp"
#include "queue/worker.hpp"

namespace zipmodule::queue {

inline std::string text_or_empty(const pqxx::field& field) { return field.is_null() ? std::string{} : field.c_str(); }

inline BuildRecord build_of(const pqxx::row& row) {
  BuildRecord build;
  build.build_id = row["build_id"].c_str();
  build.size_bytes = row["bytes"].as<std::uint64_t>();
  build.entries = row["entries"].as<std::uint64_t>();
  build.fingerprint = row["fingerprint"].c_str();
  build.mtime_ns = row["mtime_ns"].as<std::int64_t>();
  return build;
}

inline StoredBuild stored_build_of(const pqxx::row& row) {
  return {build_of(row), row["job_id"].as<std::int64_t>(), row["series"].c_str(), row["archive"].c_str(),
          row["awaits_link"].as<bool>()};
}

inline ClaimedJob claimed_job_of(const pqxx::row& row) {
  ClaimedJob job;
  job.lease.job_id = row["job_id"].as<std::int64_t>();
  job.lease.token = row["lease_token"].as<std::int64_t>();
  job.lease.revision = row["lease_revision"].as<std::int64_t>();
  job.series = row["series"].c_str();
  job.archive = row["archive"].c_str();
  job.files_json = row["files"].c_str();
  job.metadata_json = row["metadata"].c_str();
  job.on_missing = row["on_missing"].c_str();
  std::istringstream targets(text_or_empty(row["deliver"]));
  for (std::string target; std::getline(targets, target, ',');) job.deliver.push_back(target);
  if (!row["level"].is_null()) job.level = row["level"].c_str();
  job.attempt = row["attempt"].as<int>();
  job.built_revision = row["built_revision"].as<std::int64_t>();
  if (!row["build_id"].is_null()) job.current = build_of(row);
  job.elsewhere = text_or_empty(row["elsewhere"]);
  return job;
}

}  // namespace zipmodule::queue
