// What a run does for the store before it claims, and after: recovery, audit, garbage collection.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "queue/worker.hpp"
#include "run/identity.hpp"
#include "run/site.hpp"

namespace zipmodule::run {

// A file in builds/ that the database does not know to be there.
struct UnknownBuild {
  std::string build_id;
  bool young = false;       // younger than archives.grace
  std::string public_name;  // "series/archive" that leads to it; empty: none does
};
// In no order. Reads all of builds/, and all public names where there is any.
std::vector<UnknownBuild> look_for_unknown(const archive::Store& store, queue::Worker& worker,
                                           std::chrono::seconds grace);

struct Swept {
  std::size_t removed = 0;
  std::size_t left = 0;  // a public name leads there, or it is young, or it is beyond `most`
};
// Removes up to `most` of them, none that a public name leads to or that is younger than `grace`, and warns of each.
Swept sweep(const archive::Store& store, queue::Worker& worker, std::chrono::seconds grace, std::size_t most);

// With the lock held and before the first claim: ends the leases of this instance's dead process, empties tmp/, and
// where that process did not end by itself, sweeps.
void recover(Site& site, queue::Worker& worker, const queue::Worker::Begun& begun, std::chrono::seconds grace);

// Compares the store's current builds with the database, from where the last run stopped, for at most a minute and
// 10,000 builds. What was read and found damaged, or is gone, is forgotten, unlinked and due for a rebuild, with a row
// of telemetry.
void audit(Site& site, const StoreIdentity& identity, queue::Worker& worker, std::int64_t run_id,
           const std::stop_token& stop);

// Removes builds that were replaced longer than `grace` ago: file first, then row.
// Returns how many. With the store's lock held.
std::size_t collect_garbage(const archive::Store& store, queue::Worker& worker, std::chrono::seconds grace,
                            const std::stop_token& stop);

}  // namespace zipmodule::run
