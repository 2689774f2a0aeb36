#include "tree/marker.hpp"

#include <string>

#include "support/catch.hpp"

namespace zipmodule::tree {
namespace {

const std::string k_a(32, 'a');
const std::string k_b(32, 'b');

TEST_CASE("a store's marker is read as it was written, with and without tokens") {
  const StoreMarker marker = GENERATE(StoreMarker{k_a, k_b, k_a, k_b, k_a, 1'700'000'000},
                                      StoreMarker{k_a, k_b, {}, {}, {}, 0}, StoreMarker{k_a, k_b, {}, k_b, {}, 1});
  CHECK(parse_store_marker(to_text(marker)) == marker);
}

TEST_CASE("a target's marker is read as it was written") {
  CHECK(parse_target_marker(to_text(TargetMarker{k_a, k_b})) == TargetMarker{k_a, k_b});
}

TEST_CASE("any other text is no marker") {
  const std::string whole = to_text(StoreMarker{k_a, k_b, k_a, k_b, k_a, 1'700'000'000});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto half = parse_store_marker(whole.substr(0, size));
    // Lines may be missing at its end, but for the last, which every marker has.
    CHECK_FALSE(half);
  }
  CHECK_FALSE(parse_store_marker(whole + "store " + k_b + "\n"));
  CHECK_FALSE(parse_store_marker(whole + "\n"));
  CHECK_FALSE(parse_store_marker("zipmodule store 2\n" + whole.substr(whole.find('\n') + 1)));
  CHECK_FALSE(parse_store_marker(to_text(TargetMarker{k_a, k_b})));
  CHECK_FALSE(parse_target_marker(whole));
  CHECK_FALSE(parse_target_marker("zipmodule target 1\ntarget ../x\ndatabase " + k_b + "\n"));
}

}  // namespace
}  // namespace zipmodule::tree
