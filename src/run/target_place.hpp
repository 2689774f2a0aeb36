// Which place a target is. Its marker (tree/marker.hpp) and the database have to agree: a disk that is not mounted, or
// another one, looks like an empty folder, and what is delivered there would be missing once the right one is back.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/place.hpp"
#include "storage/target.hpp"

namespace zipmodule::run {

// What the database knows of a target's place.
struct KnownPlace {
  std::string database;               // the database's id
  std::optional<std::string> marker;  // the id that was seen there; nullopt: it was never seen
  std::vector<std::string> builds{};  // some that were delivered to the target
};

// Under which name the place is kept: a local folder is one of the store that delivers there, any other the same for
// all.
std::string place_key(const std::string& store, const config::Place& place);

// Looks at the target and has it expect its marker from now on. A place that the database never saw gets one where it
// is empty or holds a known build; `remember` is called with an id that the database does not know yet. Throws what the
// target throws, Error{target_unreachable} where its marker is missing or another, and Error{target_refused} where it
// is somebody else's.
void settle_place(storage::Target& target, const KnownPlace& known,
                  const std::function<void(const std::string& marker)>& remember, const std::stop_token& stop);

// What the next settle_place() would find, without writing: nullopt where all is well.
std::optional<Error> place_problem(storage::Target& target, const KnownPlace& known, const std::stop_token& stop);

// Has the place belong to the database from now on, and returns the id in its marker: its own where it has one of this
// database, which other stores that deliver there know already. Throws what the target throws.
std::string adopt_place(storage::Target& target, const std::string& database, const std::stop_token& stop);

}  // namespace zipmodule::run
