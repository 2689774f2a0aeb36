// The part of Worker that looks after builds: sweeping, auditing, garbage.
#include "base/error.hpp"
#include "queue/connection_impl.hpp"
#include "queue/item.hpp"
#include "queue/rows.hpp"
#include "queue/worker.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

std::vector<StoredBuild> stored_builds_of(const pqxx::result& rows) {
  std::vector<StoredBuild> builds;
  for (const auto& row : rows) builds.push_back(stored_build_of(row));
  return builds;
}

}  // namespace

std::optional<StoredBuild> Worker::current(std::int64_t job_id) {
  const auto rows = connection_->run(sql::current_build, job_id);
  if (rows.empty()) return std::nullopt;
  return stored_build_of(rows[0]);
}

std::vector<std::string> Worker::known_builds(const std::vector<std::string>& build_ids) {
  std::vector<std::string> known;
  for (const auto& row : connection_->run(sql::known_builds, array_literal(build_ids), options_.instance))
    known.emplace_back(row[0].c_str());
  return known;
}

bool Worker::adopt_build(const std::string& series, const std::string& archive, const BuildRecord& build) {
  return !connection_
              ->run(sql::adopt_build, build.build_id, options_.instance, series, archive, build.size_bytes,
                    build.entries, build.fingerprint, build.mtime_ns)
              .empty();
}

void Worker::adopt_store() { connection_->run(sql::adopt_store, options_.instance, options_.host, options_.path); }

void Worker::skip_tokens() { connection_->run(sql::skip_tokens); }

std::string Worker::renew_database() { return connection_->run(sql::renew_database)[0][0].c_str(); }

std::string Worker::builds_elsewhere(const std::string& id) {
  std::string names;
  for (const auto& row : connection_->run(sql::builds_elsewhere, id))
    names += (names.empty() ? "" : ", ") + std::string(row[0].c_str());
  return names;
}

std::vector<StoredBuild> Worker::builds_of(const std::string& id, std::size_t most) {
  return stored_builds_of(connection_->run(sql::builds_after, id, "", most));
}

std::vector<StoredBuild> Worker::builds_after(const std::string& after_id, std::size_t most) {
  return stored_builds_of(connection_->run(sql::builds_after, options_.instance, after_id, most));
}

void Worker::note_sweep(std::optional<std::chrono::seconds> again) {
  const std::string seconds = again ? std::to_string(again->count()) : std::string();
  connection_->run(sql::note_sweep, options_.instance, again ? seconds.c_str() : nullptr);
}

std::string Worker::audit_cursor() {
  const auto rows = connection_->run(sql::audit_cursor, options_.instance);
  return rows.empty() ? std::string{} : rows[0][0].c_str();
}

void Worker::set_audit_cursor(const std::string& build_id) {
  connection_->run(sql::set_audit_cursor, options_.instance, build_id);
}

Forgotten Worker::forget(std::int64_t run_id, const std::string& build_id, const Attempt& found_by, const char* token) {
  const auto rows = connection_->run(sql::forget_build, build_id, storable(found_by.error), run_id, options_.host,
                                     token, found_by.error_kind);
  if (rows.empty()) return Forgotten::no;
  return rows[0][0].as<bool>() ? Forgotten::rebuilds : Forgotten::cancelled;
}

Forgotten Worker::forget_build(std::int64_t run_id, const std::string& build_id, const std::string& problem) {
  Attempt none;
  none.error_kind = traits_of(ErrorKind::corrupt).code;
  none.error = problem;
  return forget(run_id, build_id, none, nullptr);
}

Forgotten Worker::forget_build(std::int64_t run_id, const std::string& build_id, const Attempt& found_by) {
  return forget(run_id, build_id, found_by, std::to_string(found_by.lease.token).c_str());
}

void Worker::note_mtime(const std::string& build_id, std::int64_t mtime_ns) {
  connection_->run(sql::note_mtime, build_id, mtime_ns);
}

std::vector<StoredBuild> Worker::collect_garbage(std::chrono::seconds grace, std::size_t most) {
  return stored_builds_of(connection_->run(sql::collect_garbage, options_.instance, grace.count(), most));
}

void Worker::remove_builds(const std::vector<std::string>& build_ids) {
  connection_->run(sql::remove_builds, array_literal(build_ids));
}

}  // namespace zipmodule::queue
