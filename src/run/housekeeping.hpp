// What a run does for the store before it claims, and after: recovery, audit, garbage collection.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "queue/worker.hpp"
#include "run/site.hpp"

namespace zipmodule::run {

// Throws Error{store_unwritable} where the store's marker is missing although the database knows builds in it: its disk is
// probably not mounted. Changes nothing.
void refuse_unmounted(const archive::Store& store, queue::Worker& worker);
// The same, and marks a new store.
void require_mounted(const archive::Store& store, queue::Worker& worker);

// With the lock held and before the first claim: ends the leases of this instance's dead process, empties tmp/, and where
// that process did not end by itself, removes builds that were renamed but never committed.
void recover(Site& site, queue::Worker& worker, const queue::Worker::Begun& begun);

// Compares the store's current builds with the database, from where the last run stopped, for at most a minute and 10,000
// builds. What is damaged or gone is forgotten, unlinked and due for a rebuild; telemetry tells.
void audit(Site& site, queue::Worker& worker, std::int64_t run_id, const std::stop_token& stop);

// Removes builds that were replaced longer than `grace` ago: file first, then row.
// Returns how many. With the store's lock held.
std::size_t collect_garbage(const archive::Store& store, queue::Worker& worker, std::chrono::seconds grace,
                            const std::stop_token& stop);

}  // namespace zipmodule::run
