// Which archive store a run works in. A store has an identity of its own, whatever its host and path are called: its
// marker (tree/marker.hpp) and the database have to agree, or nothing is touched.
//
//   marker -> standing with the database -> [refused, or taken] -> next token written -> run row -> last token written
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "queue/worker.hpp"
#include "tree/marker.hpp"
#include "tree/tree.hpp"

namespace zipmodule::run {

enum class Standing {
  ours,             // both agree
  fresh,            // no store yet: it gets an identity
  missing,          // no marker, where the database knows a store at this host and path: its disk is not mounted
  unreadable,       // a marker that can't be understood
  foreign,          // the marker names another database, or builds here are not those that the database knows
  database_behind,  // the database lacks runs that built here: a restored dump, or a failover that lost some
  store_behind,     // the database knows newer runs than the store: a copy of it, or a restored disk
};

struct StoreState {
  Standing standing = Standing::fresh;
  tree::StoreMarker marker;  // where there is one: with empty fields where it is that of an older zipmodule
  queue::StoreIdentity known;
};

// Reads both sides, changes nothing. Throws the store's errors and Error{database}.
StoreState look_at_store(const tree::Tree& tree, queue::Worker& worker);
// What to throw where the standing is neither `ours` nor `fresh`: Error{store_unwritable} for a missing marker, else
// Error{config}, with the command that settles it. Nullopt where the store may be used.
std::optional<Error> refusal(const StoreState& state, const tree::Tree& tree);

// The id in the marker; empty where there is none. For verbs that only look.
std::string store_id(const tree::Tree& tree);

// What require_there() throws: nothing that a run finds in its store is to be believed any more.
struct StoreGone : Error {
  using Error::Error;
};

// A store that is used by a run. Thread-safe.
class StoreIdentity {
 public:
  // Takes it; with the store's lock held. A store without identity gets one. Throws refusal().
  StoreIdentity(const tree::Tree& tree, queue::Worker& worker);

  const std::string& store() const noexcept { return marker_.store; }
  const std::string& database() const noexcept { return marker_.database; }

  // Around the insertion of the run's row with token(): a crash at any point leaves both sides agreed.
  const std::string& token() const noexcept { return marker_.next; }
  void begin_run();
  void run_begun();

  // Before the run's first build: from now on a database that lacks this run is behind.
  void note_building();
  // Whether the same store is still there: it may have been unmounted meanwhile. Throws StoreGone{store_unwritable}.
  void require_there() const;

 private:
  void write();

  const tree::Tree& tree_;
  std::mutex mutex_;
  tree::StoreMarker marker_;  // written by one thread, and by note_building() under mutex_
};

}  // namespace zipmodule::run
