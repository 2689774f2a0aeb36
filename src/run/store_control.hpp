// What an operator does to the identity of a store, for `zipmodule store`.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include "base/error.hpp"
#include "config/config.hpp"
#include "run/identity.hpp"

namespace zipmodule::run {

struct StoreView {
  StoreState state;
  std::optional<Error> refusal;  // why runs refuse it
};
// Changes nothing.
StoreView show_store(const config::Config& config);

// The others change the store: with its lock and the run's held, as the store's own user. Throw Error{lock_held},
// Error{store_unwritable}, Error{database}.

struct Adopted {
  std::string store;
  std::size_t learned = 0;  // builds that public names lead to and that the database did not know
  std::size_t unknown = 0;  // public names that lead to builds without a job: they stay as they are
};
// The store belongs to this database from now on. One whose marker is missing takes over the identity of the one that
// was seen at this host and path. Nothing is removed, and no public name is changed.
Adopted adopt_store(const config::Config& config, const std::stop_token& stop);

// A new identity for the store. With `database`, also one for the database, which then has neither targets nor
// deliveries. Returns the store's id.
std::string renew_store(const config::Config& config, bool database);

// Removes all builds that the database does not know, but those that a public name leads to or that are younger than
// archives.grace. Returns how many.
std::size_t sweep_store(const config::Config& config);

// The target's place is the right one, whatever its marker says: it gets a new one, and everything is delivered there
// again.
void adopt_target(const config::Config& config, const std::string& target, const std::stop_token& stop);

}  // namespace zipmodule::run
