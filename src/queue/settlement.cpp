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

std::vector<const Item*> held_items(const std::vector<Item>& batch, const std::vector<Ended>& ended) {
  std::unordered_set<std::size_t> held;
  for (const Ended& one : ended) {
    if (one.held) held.insert(one.i);
  }
  std::vector<const Item*> items;
  for (const Item& item : batch) {
    if (held.contains(item.i)) items.push_back(&item);
  }
  return items;
}

// The jobs of the batch are locked by the transaction, which makes this statement's snapshot show their last state.
std::vector<Ended> end_locked(pqxx::work& transaction, const std::vector<Item>& batch, const Ending& ending,
                              const std::optional<Recorder>& recorder) {
  if (batch.empty()) return {};
  const std::string statement =
      fmt::format("{}{}{}{}", sql::attempts, ending.sql, recorder ? sql::told : "", sql::answered);
  const auto told = recorder.value_or(Recorder{});
  std::vector<Ended> ended;
  const std::string items = array_literal(batch, recorder.has_value());
  for (const auto& row : query(transaction, statement.c_str(), items, ending.beside, told.run_id, told.host)) {
    ended.push_back({row[0].as<std::size_t>(), row[1].as<bool>()});
  }
  if (ending.then) ending.then(transaction, held_items(batch, ended));
  return ended;
}

std::unordered_set<std::int64_t> jobs_of(pqxx::work& transaction, const char* sql, const std::vector<Item>& batch) {
  std::vector<std::int64_t> jobs;
  jobs.reserve(batch.size());
  for (const auto& item : batch) jobs.push_back(item.attempt.lease.job_id);
  std::unordered_set<std::int64_t> found;
  for (const auto& row : query(transaction, sql, array_literal(jobs))) found.insert(row[0].as<std::int64_t>());
  return found;
}

}  // namespace

Settled settle(Connection& connection, std::vector<Item> batch, const Ending& ending,
               const std::optional<Recorder>& recorder) {
  Settled settled{std::vector<bool>(batch.size(), false), std::vector<bool>(batch.size(), true)};
  if (batch.empty()) return settled;
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].i = i;
  const auto ended = connection.transact([&](pqxx::work& transaction) {
    auto locked = jobs_of(transaction, sql::lock_free_jobs, batch);
    std::vector<Item> free;
    std::vector<Item> others;
    free.reserve(batch.size());
    for (auto& item : batch) {
      // One item a job: a statement does not see what it does itself. A second one comes again, as if it were busy.
      (locked.erase(item.attempt.lease.job_id) > 0 ? free : others).push_back(std::move(item));
    }
    auto ends = end_locked(transaction, free, ending, recorder);
    if (others.empty()) return ends;
    // Nobody has locked what is not there.
    const auto gone = jobs_of(transaction, sql::gone_jobs, others);
    for (const auto& item : others) {
      if (gone.contains(item.attempt.lease.job_id)) ends.push_back({item.i, false});
    }
    return ends;
  });
  for (const Ended& one : ended) {
    settled.held[one.i] = one.held;
    settled.busy[one.i] = false;
  }
  return settled;
}

}  // namespace zipmodule::queue
