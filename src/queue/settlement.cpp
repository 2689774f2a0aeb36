#include "queue/settlement.hpp"

#include <fmt/format.h>

#include <unordered_set>

#include "sql.hpp"

namespace zipmodule::queue {
namespace {

struct Ended {
  std::size_t i;
  bool held;
};

// The jobs of the batch are locked by the transaction, which makes this statement's snapshot show their last state.
std::vector<Ended> end_locked(pqxx::work& transaction, const std::vector<Item>& batch, const Ending& ending,
                              const std::optional<Recorder>& recorder) {
  if (batch.empty()) return {};
  const std::string statement = fmt::format("{}{}{}", sql::attempts, ending.sql, recorder ? sql::told : sql::answered);
  const auto told = recorder.value_or(Recorder{});
  std::vector<Ended> ended;
  for (const auto& row :
       query(transaction, statement.c_str(), array_literal(batch), ending.beside, told.run_id, told.host)) {
    ended.push_back({row[0].as<std::size_t>(), row[1].as<bool>()});
  }
  return ended;
}

std::unordered_set<std::int64_t> lock_free_jobs(pqxx::work& transaction, const std::vector<Item>& batch) {
  std::vector<std::int64_t> jobs;
  jobs.reserve(batch.size());
  for (const auto& item : batch) jobs.push_back(item.attempt.lease.job_id);
  std::unordered_set<std::int64_t> locked;
  for (const auto& row : query(transaction, sql::lock_free_jobs, array_literal(jobs))) {
    locked.insert(row[0].as<std::int64_t>());
  }
  return locked;
}

}  // namespace

Settled settle(Connection& connection, std::vector<Item> batch, const Ending& ending,
               const std::optional<Recorder>& recorder) {
  Settled settled{std::vector<bool>(batch.size(), false), std::vector<bool>(batch.size(), true)};
  if (batch.empty()) return settled;
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].i = i;
  const auto ended = connection.transact([&](pqxx::work& transaction) {
    const auto locked = lock_free_jobs(transaction, batch);
    std::vector<Item> free;
    for (auto& item : batch) {
      if (locked.contains(item.attempt.lease.job_id)) free.push_back(std::move(item));
    }
    return end_locked(transaction, free, ending, recorder);
  });
  for (const Ended& one : ended) {
    settled.held[one.i] = one.held;
    settled.busy[one.i] = false;
  }
  return settled;
}

}  // namespace zipmodule::queue
