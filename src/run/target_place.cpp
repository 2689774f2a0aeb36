#include "run/target_place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "base/random_hex.hpp"
#include "tree/marker.hpp"

namespace zipmodule::run {
namespace {

std::string adopt_hint(const storage::Target& target) {
  return fmt::format("mount its disk; where it is a new place: zipmodule store adopt --target {}", target.name());
}

Error unreachable(const storage::Target& target, const std::string& what) {
  return {ErrorKind::target_unreachable, fmt::format("target {}: {}", target.name(), what), adopt_hint(target)};
}

Error refused(const storage::Target& target, const std::string& what) {
  return {
      ErrorKind::target_refused, fmt::format("target {}: {}", target.name(), what),
      fmt::format("choose another place; where it is the right one: zipmodule store adopt --target {}", target.name())};
}

// What is wrong with the marker that was found.
std::optional<Error> marker_problem(const storage::Target& target, const KnownPlace& known,
                                    const std::optional<tree::TargetMarker>& marker) {
  if (!marker) return refused(target, "its marker .zipmodule.target can't be understood");
  if (known.marker && marker->target != *known.marker)
    return unreachable(target, "its marker .zipmodule.target is that of another place");
  if (marker->database != known.database) return refused(target, "archives of another database are delivered there");
  return std::nullopt;
}

// The same where there is none.
std::optional<Error> bare_problem(storage::Target& target, const KnownPlace& known, const std::stop_token& stop) {
  if (known.marker)
    return unreachable(target, "it has no marker .zipmodule.target, and archives were delivered there before");
  const bool ours =
      target.is_empty(stop) || std::any_of(known.builds.begin(), known.builds.end(),
                                           [&](const std::string& build) { return target.has_build(build, stop); });
  if (!ours) return refused(target, "archives lie there that this database does not know");
  return std::nullopt;
}

}  // namespace

std::string place_key(const std::string& store, const config::Place& place) {
  const bool local = std::holds_alternative<std::filesystem::path>(place);
  return local ? fmt::format("{}:{}", store, address_of(place)) : address_of(place);
}

void settle_place(storage::Target& target, const KnownPlace& known,
                  const std::function<void(const std::string& marker)>& remember, const std::stop_token& stop) {
  std::optional<std::string> text = target.read_marker(stop);
  if (text) {
    const auto marker = tree::parse_target_marker(*text);
    if (const auto problem = marker_problem(target, known, marker)) throw Error(*problem);
    if (!known.marker) remember(marker->target);
  } else {
    if (const auto problem = bare_problem(target, known, stop)) throw Error(*problem);
    const tree::TargetMarker marker{random_hex(), known.database};
    text = to_text(marker);
    target.write_marker(*text, stop);
    // Of two hosts that come at once, both go on with the marker that stayed.
    text = target.read_marker(stop);
    const auto stayed = text ? tree::parse_target_marker(*text) : std::nullopt;
    if (!stayed || stayed->database != known.database) throw unreachable(target, "its new marker did not stay");
    remember(stayed->target);
  }
  target.expect(*text);
}

std::optional<Error> place_problem(storage::Target& target, const KnownPlace& known, const std::stop_token& stop) {
  const auto text = target.read_marker(stop);
  if (!text) return bare_problem(target, known, stop);
  return marker_problem(target, known, tree::parse_target_marker(*text));
}

std::string adopt_place(storage::Target& target, const std::string& database, const std::stop_token& stop) {
  const auto text = target.read_marker(stop);
  const auto found = text ? tree::parse_target_marker(*text) : std::nullopt;
  if (found && found->database == database) return found->target;
  const tree::TargetMarker marker{random_hex(), database};
  target.write_marker(to_text(marker), stop);
  return marker.target;
}

}  // namespace zipmodule::run
