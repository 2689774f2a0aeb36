// How a batch of attempts ends: the shared part of commit, release, release_unbuilt, fail and give_back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "queue/connection_impl.hpp"
#include "queue/item.hpp"

namespace zipmodule::queue {

// How leases end: the middle of a statement, see attempts.sql, and the parameter that it needs beside.
struct Ending {
  const char* sql;
  std::string beside;
  // Called behind it, in its transaction, with the items that were held. May be empty.
  std::function<void(pqxx::work&, const std::vector<const Item*>&)> then{};
};

// Where telemetry rows come from.
struct Recorder {
  std::int64_t run_id = 0;
  std::string host;
};

// Ends every attempt of the batch and records telemetry with the outcome that the database found, in the same
// transaction, of few round trips whatever their number. It never waits for a lock: a job that a publish with an open
// transaction has locked is left as it is, to be tried again.
struct Settled {
  std::vector<bool> held;  // whether the lease of batch[i] was held; false also where busy
  std::vector<bool> busy;  // left because somebody has the job locked
};
Settled settle(Connection& connection, std::vector<Item> batch, const Ending& ending,
               const std::optional<Recorder>& recorder);

}  // namespace zipmodule::queue
