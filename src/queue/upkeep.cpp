#include "queue/upkeep.hpp"

#include "queue/connection_impl.hpp"
#include "queue/rows.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

std::optional<double> seconds_of(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return field.as<double>();
}

// One statement in a transaction of its own, which the server ends after `patience`.
template <class... Parameters>
pqxx::result ask(Connection& connection, std::chrono::milliseconds patience, const char* statement,
                 const Parameters&... parameters) {
  return connection.transact([&](pqxx::work& transaction) {
    if (patience.count() > 0) query(transaction, sql::limit_statements, std::to_string(patience.count()));
    return query(transaction, statement, parameters...);
  });
}

}  // namespace

Upkeep::Upkeep(ConnectionOptions options, std::chrono::milliseconds patience)
    : patience_(patience), connection_(std::make_unique<Connection>(std::move(options))) {}
Upkeep::~Upkeep() = default;

bool Upkeep::begin(std::chrono::seconds interval) {
  return !ask(*connection_, patience_, sql::begin_upkeep, interval.count()).empty();
}

std::uint64_t Upkeep::prune(const char* statement, std::chrono::seconds keep, std::size_t batch,
                            const std::function<bool()>& go_on) {
  std::uint64_t pruned = 0;
  std::int64_t last = 0;
  while (go_on()) {
    const auto row = ask(*connection_, patience_, statement, keep.count(), last, batch)[0];
    pruned += row["pruned"].as<std::uint64_t>();
    if (row["done"].as<bool>()) break;
    last = row["last"].as<std::int64_t>();
  }
  return pruned;
}

std::uint64_t Upkeep::prune_telemetry(std::chrono::seconds keep, std::size_t batch,
                                      const std::function<bool()>& go_on) {
  return prune(sql::prune_telemetry, keep, batch, go_on);
}

std::uint64_t Upkeep::prune_deliveries(std::chrono::seconds keep, std::size_t batch,
                                       const std::function<bool()>& go_on) {
  std::uint64_t pruned = 0;
  while (go_on()) {
    const auto row = ask(*connection_, patience_, sql::prune_deliveries, keep.count(), batch)[0];
    const auto went = row[0].as<std::uint64_t>();
    pruned += went;
    if (went < batch) break;
  }
  return pruned;
}

std::uint64_t Upkeep::prune_runs(std::chrono::seconds keep, std::size_t batch, const std::function<bool()>& go_on) {
  return prune(sql::prune_runs, keep, batch, go_on);
}

Gauges Upkeep::gauges(const std::string& host) {
  const auto row = ask(*connection_, patience_, sql::gauges, host.empty() ? nullptr : host.c_str())[0];
  Gauges gauges;
  gauges.due = row["due"].as<std::int64_t>();
  gauges.waiting = row["waiting"].as<std::int64_t>();
  gauges.running = row["running"].as<std::int64_t>();
  gauges.failed = row["failed"].as<std::int64_t>();
  gauges.oldest_due_seconds = row["oldest_due_seconds"].as<double>();
  gauges.unseen_stores = row["unseen_stores"].as<std::int64_t>();
  gauges.undelivered = row["undelivered"].as<std::int64_t>();
  gauges.oldest_delivery_seconds = row["oldest_delivery_seconds"].as<double>();
  gauges.oldest_pending_seconds = row["oldest_pending_seconds"].as<double>();
  gauges.success_seconds = seconds_of(row["success_seconds"]);
  gauges.success_at = seconds_of(row["success_at"]);
  gauges.host_known = row["host_known"].as<bool>();
  return gauges;
}

HotTable Upkeep::hot_table() {
  HotTable table;
  const auto rows = ask(*connection_, patience_, sql::hot_table);
  if (rows.empty()) return table;
  const auto row = rows[0];
  table.live = row["live"].as<std::int64_t>();
  table.dead = row["dead"].as<std::int64_t>();
  table.bytes = row["bytes"].as<std::uint64_t>();
  table.vacuumed_seconds = seconds_of(row["vacuumed_seconds"]);
  return table;
}

std::vector<VacuumHolder> Upkeep::vacuum_holders(std::chrono::seconds age, std::int64_t transactions) {
  std::vector<VacuumHolder> holders;
  for (const auto& row : ask(*connection_, patience_, sql::vacuum_holders, age.count(), transactions)) {
    holders.push_back({row["kind"].c_str(), row["name"].c_str(), text_or_empty(row["usename"]),
                       text_or_empty(row["application"]), seconds_of(row["seconds"]),
                       row["transactions"].is_null() ? 0 : row["transactions"].as<std::int64_t>()});
  }
  return holders;
}

Sessions Upkeep::sessions() {
  const auto row = ask(*connection_, patience_, sql::sees_all_sessions)[0];
  return {row["all_sessions"].as<bool>(), row["owner"].c_str()};
}

}  // namespace zipmodule::queue
