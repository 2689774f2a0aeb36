#include "zip/fingerprint_set.hpp"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "support/catch.hpp"

namespace zipmodule::zip {
namespace {

TEST_CASE("a set of fingerprints holds what was put into it, and nothing else") {
  FingerprintSet set;
  CHECK(set.find(fingerprint_of("a")) == FingerprintSet::Found::no);
  for (int i = 0; i < 100'000; ++i) REQUIRE(set.insert(fingerprint_of(fmt::format("folder/{}", i)), i % 3 == 0));
  for (int i = 0; i < 100'000; ++i) {
    const Fingerprint text = fingerprint_of(fmt::format("folder/{}", i));
    REQUIRE(set.find(text) == (i % 3 == 0 ? FingerprintSet::Found::marked : FingerprintSet::Found::unmarked));
    REQUIRE_FALSE(set.insert(text, true));
    REQUIRE_FALSE(set.contains(fingerprint_of(fmt::format("folder/{}", i + 100'000))));
  }
}

TEST_CASE("a mark is set once, and survives growth") {
  FingerprintSet set;
  set.insert(fingerprint_of("text"), false);
  CHECK(set.mark(fingerprint_of("text")));
  CHECK_FALSE(set.mark(fingerprint_of("text")));
  for (int i = 0; i < 10'000; ++i) set.insert(fingerprint_of(std::to_string(i)), false);
  CHECK(set.find(fingerprint_of("text")) == FingerprintSet::Found::marked);
}

TEST_CASE("texts that differ in one bit, in length or in zeros have other fingerprints, in both halves") {
  std::set<std::uint64_t> high;
  std::set<std::uint64_t> low;
  std::size_t texts = 0;
  const auto add = [&](const std::string& text) {
    high.insert(fingerprint_of(text).high >> 2U);
    low.insert(fingerprint_of(text).low);
    ++texts;
  };
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string text(size, '\0');
    add(text);
    for (std::size_t at = 0; at < size; ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        std::string other = text;
        other[at] = static_cast<char>(1U << bit);
        add(other);
      }
    }
  }
  CHECK(high.size() == texts);
  CHECK(low.size() == texts);
}

}  // namespace
}  // namespace zipmodule::zip
