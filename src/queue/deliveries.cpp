#include "queue/deliveries.hpp"

#include <algorithm>

#include "queue/connection_impl.hpp"
#include "queue/deliveries_impl.hpp"
#include "queue/item.hpp"
#include "queue/rows.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

Delivery delivery_of(const pqxx::row& row, const std::string& target) {
  return {row["build_id"].c_str(),          target,
          row["job_id"].as<std::int64_t>(), row["series"].c_str(),
          row["archive"].c_str(),           row["bytes"].as<std::uint64_t>()};
}

std::vector<Delivery> deliveries_of(const pqxx::result& rows, const std::string& target) {
  std::vector<Delivery> deliveries;
  for (const auto& row : rows) deliveries.push_back(delivery_of(row, target));
  return deliveries;
}

const char* to_string(DeliveryOutcome outcome) noexcept {
  switch (outcome) {
    case DeliveryOutcome::done:
      return "done";
    case DeliveryOutcome::superseded:
      return "superseded";
    case DeliveryOutcome::retry:
      return "retry";
    case DeliveryOutcome::removed:
      return "removed";
  }
  return "";
}

// "mirror!=sftp://...,second=/mnt": the required ones with a '!', sorted.
std::string to_text(std::vector<DeliveryTarget> targets) {
  std::sort(targets.begin(), targets.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::string text;
  for (const auto& target : targets) {
    text += (text.empty() ? "" : ",") + target.name + (target.required ? "!" : "") + "=" + target.place;
  }
  return text;
}

std::string names_of(const std::vector<DeliveryTarget>& targets) {
  std::vector<std::string> names;
  for (const auto& target : targets) names.push_back(target.name);
  return array_literal(names);
}

// Null where empty.
const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

void note_deliveries(pqxx::work& transaction, const std::vector<std::string>& builds, const std::string& instance,
                     const std::vector<DeliveryTarget>& targets, Stock stock) {
  std::vector<std::string> required;
  std::vector<std::string> places;
  for (const auto& target : targets) {
    required.emplace_back(target.required ? "t" : "f");
    places.push_back(target.place);
  }
  query(transaction, sql::note_deliveries, array_literal(builds), instance, names_of(targets), array_literal(required),
        stock == Stock::backlog, array_literal(places));
}

void begin_deliveries(pqxx::work& transaction, const std::string& instance, const std::vector<DeliveryTarget>& targets,
                      bool clean) {
  query(transaction, sql::retire_stranded, instance, names_of(targets));
  if (!clean) query(transaction, sql::dispute_deliveries, instance);
  // One that comes back later gets what was built meanwhile.
  if (targets.empty()) query(transaction, sql::set_delivery_targets, instance, "");
}

Deliveries::Deliveries(const WorkerOptions& options)
    : options_(options), connection_(std::make_unique<Connection>(options.connection)) {}
Deliveries::~Deliveries() = default;

std::vector<Delivery> Deliveries::due(const std::string& target, const std::vector<std::string>& under_way,
                                      std::size_t most) {
  return deliveries_of(connection_->run(sql::due_deliveries, options_.instance, target, array_literal(under_way), most),
                       target);
}

std::vector<Delivery> Deliveries::retired(const std::string& target, const std::vector<std::string>& under_way,
                                          std::chrono::seconds grace, std::size_t most) {
  return deliveries_of(connection_->run(sql::retired_deliveries, options_.instance, target, array_literal(under_way),
                                        most, grace.count()),
                       target);
}

std::optional<int> Deliveries::wanted(const Delivery& delivery) {
  const auto rows = connection_->run(sql::delivery_is_wanted, delivery.build_id, delivery.target);
  if (rows.empty()) return std::nullopt;
  return rows[0][0].as<int>();
}

Deliveries::Place Deliveries::place(const std::string& target, const std::string& place) {
  const auto row = connection_->run(sql::target_place, target, place)[0];
  return {row[0].c_str(), row[1].is_null() ? std::nullopt : std::optional<std::string>(row[1].c_str())};
}

void Deliveries::note_place(const std::string& target, const std::string& place, const std::string& marker) {
  connection_->run(sql::note_target_place, target, place, marker);
}

void Deliveries::forget_copies(const std::string& target) {
  connection_->run(sql::forget_target_copies, options_.instance, target);
}

std::vector<std::string> Deliveries::delivered(const std::string& target, std::size_t most) {
  std::vector<std::string> builds;
  for (const auto& row : connection_->run(sql::delivered_builds, target, most)) builds.emplace_back(row[0].c_str());
  return builds;
}

bool Deliveries::add_backlog(std::size_t most) {
  const std::string now = to_text(options_.targets);
  return connection_->transact([&](pqxx::work& transaction) {
    const auto rows = query(transaction, sql::delivery_targets, options_.instance);
    if (rows.empty() || text_or_empty(rows[0][0]) == now) return false;
    std::vector<std::string> builds;
    for (const auto& row : query(transaction, sql::builds_after, options_.instance, backlog_after_, most)) {
      builds.emplace_back(row["build_id"].c_str());
    }
    if (!builds.empty()) {
      note_deliveries(transaction, builds, options_.instance, options_.targets, Stock::backlog);
      backlog_after_ = builds.back();
    }
    if (builds.size() == most) return true;
    query(transaction, sql::set_delivery_targets, options_.instance, now);
    return false;
  });
}

DeliveryOutcome Deliveries::end(std::int64_t run_id, const DeliveryAttempt& attempt) {
  const std::string kind = storable(attempt.error_kind);
  const std::string error = storable(attempt.error);
  const std::string retry = attempt.retry_after_seconds ? std::to_string(*attempt.retry_after_seconds) : std::string();
  const auto rows = connection_->run(sql::end_delivery, attempt.delivery.build_id, attempt.delivery.target, run_id,
                                     options_.host, to_string(attempt.outcome), or_null(kind), or_null(error),
                                     or_null(retry), attempt.seconds, attempt.upload_seconds, attempt.switch_seconds,
                                     attempt.bytes_sent, attempt.switched, attempt.disputed);
  const bool superseded = rows.empty() || std::string(rows[0][0].c_str()) == "superseded";
  return superseded ? DeliveryOutcome::superseded : attempt.outcome;
}

}  // namespace zipmodule::queue
