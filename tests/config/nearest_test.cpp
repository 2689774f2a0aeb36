#include "config/nearest.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using zipmodule::config::edit_distance;
using zipmodule::config::nearest;

TEST_CASE("edit distance counts each slip of the finger once") {
  CHECK(edit_distance("lease", "lease") == 0);
  CHECK(edit_distance("leas", "lease") == 1);
  CHECK(edit_distance("laese", "lease") == 1);
  CHECK(edit_distance("Lease", "lease") == 0);
  CHECK(edit_distance("", "lease") == 5);
  CHECK(edit_distance("lease", "") == 5);
}

TEST_CASE("the nearest word is found, and none where none is near") {
  const std::vector<std::string> keys{"lock_file", "workers", "threads", "memory"};
  CHECK(nearest("wrokers", keys) == "workers");
  CHECK(nearest("lockfile", keys) == "lock_file");
  CHECK(nearest("thread", keys) == "threads");
  CHECK_FALSE(nearest("colour", keys));
  CHECK_FALSE(nearest(std::string(100'000, 'x'), keys));
  CHECK_FALSE(nearest("workers", std::vector<std::string>{}));
}
