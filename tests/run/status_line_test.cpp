#include "run/status_line.hpp"

#include <string>

#include "support/catch.hpp"

namespace zipmodule::run {
namespace {

TEST_CASE("a bar shows the fraction, between empty and full") {
  const auto [fraction, bar] = GENERATE(table<double, std::string>({
      {0.0, "[..........]   0 %"},
      {0.09, "[..........]   9 %"},
      {0.5, "[#####.....]  50 %"},
      {0.999, "[#########.] 100 %"},
      {1.0, "[##########] 100 %"},
      {-1.0, "[..........]   0 %"},
      {7.0, "[##########] 100 %"},
  }));
  CHECK(progress_bar(fraction, 10) == bar);
}

TEST_CASE("a bar may have no width at all") { CHECK(progress_bar(0.5, 0) == "[]  50 %"); }

}  // namespace
}  // namespace zipmodule::run
