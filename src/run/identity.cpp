#include "run/identity.hpp"

#include <fmt/format.h>

#include <chrono>

#include "base/log.hpp"
#include "base/random_hex.hpp"

namespace zipmodule::run {
namespace {

constexpr std::size_t k_looked_for = 100;

// Whether one of the store's current builds lies here.
bool holds_build_of(const tree::Tree& tree, queue::Worker& worker, const std::string& store) {
  for (const auto& stored : worker.builds_of(store, k_looked_for)) {
    if (tree.find(stored.build.build_id)) return true;
  }
  return false;
}

// An empty marker is that of a zipmodule which had no identities yet.
Standing standing_of_empty(const tree::Tree& tree, queue::Worker& worker, StoreState& state) {
  if (!state.known.at_place_has_builds) return Standing::fresh;
  if (!holds_build_of(tree, worker, state.known.at_place)) return Standing::foreign;
  state.marker.store = state.known.at_place;
  return Standing::fresh;
}

Standing standing_of(queue::Worker& worker, const StoreState& state) {
  const tree::StoreMarker& marker = state.marker;
  const queue::StoreIdentity& known = state.known;
  if (marker.database != known.database) return Standing::foreign;
  if (!known.known) return marker.wrote.empty() ? Standing::ours : Standing::database_behind;
  if (known.token == marker.last || known.token == marker.next) return Standing::ours;
  if (!marker.last.empty() && worker.knows_run(marker.store, marker.last)) return Standing::store_behind;
  // It lacks runs. Where these built nothing, nothing of the store is unknown to it.
  if (marker.wrote.empty() || worker.knows_run(marker.store, marker.wrote)) return Standing::ours;
  return Standing::database_behind;
}

Error unusable(const std::string& message, const std::string& hint) { return {ErrorKind::config, message, hint}; }

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

StoreState look_at_store(const tree::Tree& tree, queue::Worker& worker) {
  StoreState state;
  const auto text = tree.read_marker(tree::k_store_marker);
  if (!text || text->empty()) {
    state.known = worker.identify("");
    if (text)
      state.standing = standing_of_empty(tree, worker, state);
    else
      state.standing = state.known.at_place.empty() ? Standing::fresh : Standing::missing;
    return state;
  }
  const auto marker = tree::parse_store_marker(*text);
  state.known = worker.identify(marker ? marker->store : "");
  if (!marker) {
    state.standing = Standing::unreadable;
    return state;
  }
  state.marker = *marker;
  state.standing = standing_of(worker, state);
  return state;
}

std::optional<Error> refusal(const StoreState& state, const tree::Tree& tree) {
  const std::string root = tree.root().string();
  switch (state.standing) {
    case Standing::ours:
    case Standing::fresh:
      return std::nullopt;
    case Standing::missing:
      return Error(
          ErrorKind::store_unwritable,
          fmt::format("{} has no file .zipmodule.store, but a store was there before", root),
          "mount its disk; where it is lost for good: zipmodule store adopt, and its archives are built again; "
          "where this is another host's store: zipmodule store renew");
    case Standing::unreadable:
      return unusable(fmt::format("{}/.zipmodule.store can't be understood", root),
                      "restore that file; or make it a store of this database: zipmodule store adopt");
    case Standing::foreign:
      return unusable(
          fmt::format("the store {} belongs to another database", root),
          "connect to its own database (database.dsn, ZIPMODULE_DSN); to let it belong to this one from now "
          "on: zipmodule store adopt");
    case Standing::database_behind:
      return unusable(fmt::format("the database is behind the store {}: it lacks runs that built there, as after a "
                                  "restored dump",
                                  root),
                      "connect to the newest database; where this is the newest: zipmodule store adopt, which loses "
                      "nothing that was built");
    case Standing::store_behind:
      return unusable(
          fmt::format("the store {} is behind the database, which knows newer runs of it: it is a copy, or a "
                      "restored disk",
                      root),
          "for a copy: zipmodule store renew; where it replaces the original: zipmodule store adopt");
  }
  return std::nullopt;
}

std::string store_id(const tree::Tree& tree) {
  const auto text = tree.read_marker(tree::k_store_marker);
  const auto marker = text ? tree::parse_store_marker(*text) : std::nullopt;
  return marker ? marker->store : std::string();
}

StoreIdentity::StoreIdentity(const tree::Tree& tree, queue::Worker& worker) : tree_(tree) {
  const StoreState state = look_at_store(tree, worker);
  if (const auto error = refusal(state, tree)) throw Error(*error);
  marker_ = state.marker;
  marker_.database = state.known.database;
  if (marker_.store.empty()) marker_.store = random_hex();
  // The newest run that the database knows is the last one, whichever of the two tokens it has.
  if (!state.known.token.empty()) marker_.last = state.known.token;
}

void StoreIdentity::write() {
  marker_.at = now();
  tree_.write_marker(tree::k_store_marker, to_text(marker_));
}

void StoreIdentity::begin_run() {
  marker_.next = random_hex();
  write();
}

void StoreIdentity::run_begun() {
  marker_.last = marker_.next;
  write();
}

void StoreIdentity::note_building() {
  std::lock_guard lock(mutex_);
  if (marker_.wrote == marker_.last) return;
  const std::string before = std::exchange(marker_.wrote, marker_.last);
  try {
    write();
  } catch (...) {
    marker_.wrote = before;
    throw;
  }
}

void StoreIdentity::require_there() const {
  if (store_id(tree_) == marker_.store) return;
  throw StoreGone(ErrorKind::store_unwritable,
                  fmt::format("{} is no longer the store that this run began with", tree_.root().string()),
                  "mount its disk");
}

}  // namespace zipmodule::run
