#include "tree/probe.hpp"

#include <filesystem>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "support/without_symlinks.hpp"
#include "tree/tree.hpp"

namespace zipmodule::tree {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

TEST_CASE("a store that is not there yet is told with what a run would create, and is not created") {
  const test::TempDir dir("probe");
  const auto probe = try_out(dir / "deep/store");
  CHECK(probe.missing == std::vector<fs::path>{dir / "deep/store"});
  CHECK(probe.existing == (dir / "deep").parent_path());
  CHECK(test::listing(dir / "").empty());

  fs::create_directories(dir / "deep/store/builds");
  const auto half = try_out(dir / "deep/store");
  CHECK(half.missing == std::vector<fs::path>{dir / "deep/store/public", dir / "deep/store/tmp"});
  CHECK(half.existing == dir / "deep/store");
  CHECK(test::listing(dir / "deep/store") == std::vector<std::string>{"builds/"});
}

TEST_CASE("a probe of a store leaves nothing behind") {
  const test::TempDir dir("probe");
  Tree(dir / "store").make_folders();
  const auto before = test::listing(dir / "store");
  const auto probe = try_out(dir / "store");
  CHECK(probe.missing.empty());
  CHECK(probe.existing == dir / "store");
  CHECK(test::listing(dir / "store") == before);
}

TEST_CASE("a probe notices that no symlinks can be made, says so, and leaves nothing behind") {
  const test::TempDir dir("probe");
  const bool made = GENERATE(false, true);
  fs::create_directories(dir / "store");
  if (made) Tree(dir / "store").make_folders();
  const auto before = test::listing(dir / "store");
  std::optional<Error> error;
  test::without_symlinks([&] { error = test::error_of([&] { try_out(dir / "store"); }); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::store_unwritable);
  CHECK_THAT(error->full_text(), Contains("create link " + (dir / "store").string()) && Contains("symlinks"));
  CHECK(test::listing(dir / "store") == before);
}

TEST_CASE("a store at a file, or at a symlink to nothing, is an error that names it") {
  const test::TempDir dir("probe");
  test::write_file(dir / "file", "x");
  fs::create_symlink("not mounted", dir / "link");
  for (const char* root : {"file", "file/store", "link", "link/store"}) {
    CHECK_THAT(test::error_of([&] { try_out(dir / root); })->what(),
               Contains((dir / std::string(root).substr(0, 4)).string()));
  }
}

}  // namespace
}  // namespace zipmodule::tree
