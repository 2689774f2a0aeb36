// The small files that say which store or target a folder is, so that another disk at the same path is never taken for
// it.
//
//   .zipmodule.store     zipmodule store 1        .zipmodule.target    zipmodule target 1
//                        store <id>                                    target <id>
//                        database <id>                                 database <id>
//                        last <token>
//                        next <token>
//                        wrote <token>
//                        at <seconds since 1970>
//
// Ids and tokens are 32 hexadecimal digits. A run writes `next`, inserts its row in the database with that token, then
// writes `last`. So the database's newest token of the store is one of the two, unless one side was replaced by an
// older state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zipmodule::tree {

inline constexpr const char* k_store_marker = ".zipmodule.store";
inline constexpr const char* k_target_marker = ".zipmodule.target";

struct StoreMarker {
  std::string store;     // its id
  std::string database;  // the id of the database that it belongs to
  std::string last;      // token of the newest run whose row is surely in the database; empty: none
  std::string next;      // of the run that began after it
  std::string wrote;     // of the newest run that may have built something here; empty: none
  std::int64_t at = 0;   // when it was written

  bool operator==(const StoreMarker&) const = default;
};

struct TargetMarker {
  std::string target;    // its id
  std::string database;  // the id of the database whose archives are delivered there

  bool operator==(const TargetMarker&) const = default;
};

std::string to_text(const StoreMarker& marker);
std::string to_text(const TargetMarker& marker);
// Nullopt for any other text.
std::optional<StoreMarker> parse_store_marker(std::string_view text);
std::optional<TargetMarker> parse_target_marker(std::string_view text);

}  // namespace zipmodule::tree
