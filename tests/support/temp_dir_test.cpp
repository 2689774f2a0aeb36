#include "support/temp_dir.hpp"

#include <stdexcept>

#include "support/catch.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a test that passes leaves nothing, not even what it locked itself out of") {
  fs::path path;
  {
    const TempDir dir;
    path = dir.path();
    write_file(dir / "closed/file", "x");
    fs::permissions(dir / "closed", fs::perms::none);
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what an exception leaves behind is kept as evidence") {
  fs::path path;
  try {
    const TempDir dir("kept");
    path = dir.path();
    throw std::runtime_error("on purpose");
  } catch (const std::runtime_error&) {
  }
  CHECK(fs::exists(path));
  fs::remove_all(path);
}

}  // namespace
}  // namespace zipmodule::test
