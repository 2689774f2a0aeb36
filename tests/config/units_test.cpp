#include "config/units.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"

using zipmodule::config::parse_duration;
using zipmodule::config::parse_size;

TEST_CASE("sizes are read in binary, decimal and plain bytes") {
  struct Case {
    std::string text;
    std::uint64_t bytes;
  };
  const std::vector<Case> cases{
      {"0", 0},
      {"1024", 1024},
      {"7B", 7},
      {"256MiB", std::uint64_t{256} << 20},
      {"1GiB", std::uint64_t{1} << 30},
      {"2tib", std::uint64_t{2} << 40},
      {"10 MB", 10'000'000},
      {"3kB", 3000},
      {"18446744073709551615", UINT64_MAX},
  };
  for (const auto& [text, bytes] : cases) {
    INFO(text);
    CHECK(parse_size(text).value == bytes);
  }
}

TEST_CASE("what is not a size is refused with the way to write one") {
  for (const std::string text :
       {"", "MiB", "10M", "10 G", "1.5GiB", "-1", "+1", "10 MiBs", "10  Mi B", "1 000", "0x10"}) {
    INFO(text);
    const auto parsed = parse_size(text);
    CHECK_FALSE(parsed.value);
    CHECK(parsed.problem.find("such as 256MiB") != std::string::npos);
  }
  CHECK(parse_size("18446744073709551616").problem == "'18446744073709551616' is too large");
  CHECK(parse_size("99999999999TiB").problem == "'99999999999TiB' is too large");
}

TEST_CASE("durations are read with one unit or several, the larger first") {
  struct Case {
    std::string text;
    std::int64_t seconds;
  };
  const std::vector<Case> cases{
      {"0", 0},       {"0s", 0},       {"60s", 60},   {"55m", 3300}, {"24h", 86400},
      {"7d", 604800}, {"1h30m", 5400}, {"1m30s", 90}, {"2000ms", 2},
  };
  for (const auto& [text, seconds] : cases) {
    INFO(text);
    REQUIRE(parse_duration(text).value);
    CHECK(parse_duration(text).value->count() == seconds);
  }
}

TEST_CASE("what is not a duration is refused") {
  for (const std::string text : {"", "h", "10 m", "30m1h", "1h1h", "1y", "-5s", "1.5h", "1h30", "5S"}) {
    INFO(text);
    const auto parsed = parse_duration(text);
    CHECK_FALSE(parsed.value);
    CHECK(parsed.problem.find("such as 24h") != std::string::npos);
  }
}

TEST_CASE("a duration without unit, in part seconds or without end says which") {
  CHECK(parse_duration("60").problem.find("has no unit") != std::string::npos);
  CHECK(parse_duration("500ms").problem == "'500ms' is not in whole seconds");
  CHECK(parse_duration("1s500ms").problem == "'1s500ms' is not in whole seconds");
  CHECK(parse_duration("99999999d").problem == "'99999999d' is longer than ten years");
  CHECK(parse_duration("18446744073709551615h1s").problem == "'18446744073709551615h1s' is longer than ten years");
}
