#include "queue/settlement.hpp"

#include <set>
#include <unordered_map>

#include "queue/attempt_json.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

using Batch = std::vector<nlohmann::json>;

struct Ended {
  std::size_t i;
  bool held;
};

// The jobs of the batch are locked by the transaction, which makes this statement's snapshot show their last state.
std::vector<Ended> end_locked(pqxx::work& transaction, Batch batch, const Ending& ending,
                              const std::optional<Recorder>& recorder) {
  if (batch.empty()) return {};
  const std::string items = to_text(batch);
  const auto rows =
      ending.argument ? query(transaction, ending.sql, items, *ending.argument) : query(transaction, ending.sql, items);
  std::vector<Ended> ended;
  std::unordered_map<std::size_t, std::string> outcomes;
  for (const auto& row : rows) {
    ended.push_back({row[0].as<std::size_t>(), row[1].as<bool>()});
    outcomes[ended.back().i] = row[2].c_str();
  }
  if (recorder) {
    for (auto& item : batch) item["outcome"] = outcomes.at(item["i"]);
    query(transaction, sql::record, to_text(batch), recorder->run_id, recorder->host);
  }
  return ended;
}

std::set<std::int64_t> lock_free_jobs(pqxx::work& transaction, const Batch& batch) {
  std::vector<std::int64_t> jobs;
  for (const auto& item : batch) jobs.push_back(item["job_id"]);
  std::set<std::int64_t> locked;
  for (const auto& row : query(transaction, sql::lock_free_jobs, array_literal(jobs))) {
    locked.insert(row[0].as<std::int64_t>());
  }
  return locked;
}

}  // namespace

Settled settle(Connection& connection, Batch batch, const Ending& ending, const std::optional<Recorder>& recorder) {
  Settled settled{std::vector<bool>(batch.size(), false), std::vector<bool>(batch.size(), true)};
  if (batch.empty()) return settled;
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i]["i"] = i;
  const auto ended = connection.transact([&](pqxx::work& transaction) {
    const auto locked = lock_free_jobs(transaction, batch);
    Batch free;
    for (auto& item : batch) {
      if (locked.contains(item["job_id"])) free.push_back(std::move(item));
    }
    return end_locked(transaction, std::move(free), ending, recorder);
  });
  for (const Ended& one : ended) {
    settled.held[one.i] = one.held;
    settled.busy[one.i] = false;
  }
  return settled;
}

}  // namespace zipmodule::queue
