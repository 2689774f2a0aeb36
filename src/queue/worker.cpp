#include "queue/worker.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "queue/claimer.hpp"
#include "queue/connection_impl.hpp"
#include "queue/deliveries_impl.hpp"
#include "queue/item.hpp"
#include "queue/rows.hpp"
#include "queue/settlement.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

template <class Reports>
std::vector<Item> items_of(const Reports& reports) {
  std::vector<Item> batch;
  batch.reserve(reports.size());
  for (const auto& report : reports) batch.push_back(item_of(report));
  return batch;
}

LeaseState lease_state(const std::string& text) {
  if (text == "held") return LeaseState::held;
  return text == "cancelled" ? LeaseState::cancelled : LeaseState::lost;
}

}  // namespace

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)),
      connection_(std::make_unique<Connection>(options_.connection)),
      claimer_(std::make_unique<Claimer>(options_)) {}
Worker::~Worker() = default;

StoreIdentity Worker::identify(const std::string& id) {
  const auto row = connection_->run(sql::store_identity, id, options_.host, options_.path)[0];
  return {row["database_id"].c_str(), row["known"].as<bool>(), text_or_empty(row["token"]),
          text_or_empty(row["at_place"]), row["at_place_has_builds"].as<bool>()};
}

bool Worker::knows_run(const std::string& store, const std::string& token) {
  return connection_->run(sql::run_is_known, store, token)[0][0].as<bool>();
}

Worker::Begun Worker::begin_run(int pid, const std::string& version, const std::string& token) {
  return connection_->transact([&](pqxx::work& transaction) -> Begun {
    const auto row = query(transaction, sql::begin_run, options_.host, options_.instance, pid, version, options_.store,
                           options_.lease.count(), token, options_.path)[0];
    const bool clean = row[1].as<bool>();
    begin_deliveries(transaction, options_.instance, options_.targets, clean);
    return {row[0].as<std::int64_t>(), clean, row[2].as<bool>()};
  });
}

void Worker::finish_run(std::int64_t run_id, const RunSummary& summary) {
  connection_->run(sql::finish_run, run_id, summary.claimed, summary.done, summary.failed, summary.outcome);
}

void Worker::note_alive() { connection_->run(sql::note_alive, options_.instance, options_.lease.count()); }

void Worker::note_listening(std::chrono::seconds time) {
  connection_->run(sql::note_listening, options_.instance, time.count());
}

std::uint64_t Worker::recover(std::int64_t run_id) {
  return connection_->transact([&](pqxx::work& transaction) {
    std::vector<std::int64_t> jobs;
    for (const auto& row : query(transaction, sql::held_by, options_.instance, run_id)) {
      jobs.push_back(row[0].as<std::int64_t>());
    }
    if (!jobs.empty()) query(transaction, sql::end_lost, array_literal(jobs), options_.max_attempts);
    return static_cast<std::uint64_t>(jobs.size());
  });
}

std::vector<ClaimedJob> Worker::claim(std::int64_t run_id, std::size_t most) {
  std::vector<ClaimedJob> claimed;
  // Leases that ran out are ended first; what is due at once after that is claimed the next time round.
  for (bool ended = true; ended && claimed.size() < most;) {
    std::vector<ClaimedJob> more;
    try {
      connection_->transact(
          [&](pqxx::work& transaction) { more = claimer_->claim(transaction, run_id, most - claimed.size(), ended); });
    } catch (const Error&) {
      if (claimed.empty()) throw;
      return claimed;  // these are ours already; the next call tells about the trouble
    }
    std::move(more.begin(), more.end(), std::back_inserter(claimed));
  }
  return claimed;
}

std::vector<ClaimedJob> Worker::peek(std::size_t most) {
  std::vector<ClaimedJob> jobs;
  for (const auto& row : connection_->run(sql::peek, most, options_.store)) jobs.push_back(claimed_job_of(row));
  return jobs;
}

std::optional<double> Worker::next_due() {
  const auto row = connection_->run(sql::next_due, options_.store)[0];
  return row[0].is_null() ? std::nullopt : std::optional(row[0].as<double>());
}

std::vector<LeaseState> Worker::extend(const std::vector<LeaseProgress>& leases) {
  std::vector<LeaseState> states;
  if (leases.empty()) return states;
  std::vector<std::int64_t> jobs, tokens, revisions;
  std::vector<double> progress;
  for (const auto& one : leases) {
    jobs.push_back(one.lease.job_id);
    tokens.push_back(one.lease.token);
    revisions.push_back(one.lease.revision);
    progress.push_back(one.progress > 0 ? std::min(one.progress, 1.0) : 0.0);  // NaN becomes 0
  }
  for (const auto& row : connection_->run(sql::extend, array_literal(jobs), array_literal(tokens),
                                          array_literal(revisions), array_literal(progress), options_.lease.count())) {
    states.push_back(lease_state(row[0].c_str()));
  }
  return states;
}

std::vector<bool> Worker::answer(Settled settled) {
  busy_ = std::move(settled.busy);
  return std::move(settled.held);
}

std::vector<bool> Worker::commit(std::int64_t run_id, const std::vector<Completion>& completions) {
  Ending ending{sql::commit, options_.instance};
  if (!options_.targets.empty()) {
    ending.then = [&](pqxx::work& transaction, const std::vector<const Item*>& built) {
      std::vector<std::string> builds;
      for (const Item* item : built) builds.push_back(item->build->build_id);
      note_deliveries(transaction, builds, options_.instance, options_.targets, Stock::fresh);
    };
  }
  return answer(settle(*connection_, items_of(completions), ending, Recorder{run_id, options_.host}));
}

std::vector<bool> Worker::release(const std::vector<Lease>& leases) {
  // Its telemetry was written by commit.
  return answer(settle(*connection_, items_of(leases), {sql::release, {}}, std::nullopt));
}

std::vector<bool> Worker::release_unbuilt(std::int64_t run_id, const std::vector<Attempt>& attempts) {
  auto batch = items_of(attempts);
  for (auto& item : batch) item.attempt.outcome = Outcome::skipped;
  return answer(settle(*connection_, std::move(batch), {sql::release, {}}, Recorder{run_id, options_.host}));
}

std::vector<bool> Worker::fail(std::int64_t run_id, const std::vector<Failure>& failures) {
  return answer(settle(*connection_, items_of(failures), {sql::fail, std::to_string(options_.max_attempts)},
                       Recorder{run_id, options_.host}));
}

void Worker::give_back(std::int64_t run_id, const std::vector<Attempt>& attempts) {
  auto batch = items_of(attempts);
  for (auto& item : batch) {
    if (item.attempt.error_kind.empty()) item.attempt.error_kind = traits_of(ErrorKind::stopped).code;
  }
  answer(settle(*connection_, std::move(batch), {sql::give_back, {}}, Recorder{run_id, options_.host}));
}

}  // namespace zipmodule::queue
