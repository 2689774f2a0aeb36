#include "archive/store_probe.hpp"

#include <string>

#include "archive/site.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

TEST_CASE("a store that is not there yet is told with what a run would create, and is not created") {
  const test::TempDir dir("probe");
  const auto probe = probe_store(dir / "deep/store");
  CHECK(probe.missing == std::vector<fs::path>{dir / "deep/store"});
  CHECK(probe.existing == (dir / "deep").parent_path());
  CHECK(test::listing(dir / "").empty());

  fs::create_directories(dir / "deep/store/builds");
  const auto half = probe_store(dir / "deep/store");
  CHECK(half.missing == std::vector<fs::path>{dir / "deep/store/public", dir / "deep/store/tmp"});
  CHECK(half.existing == dir / "deep/store");
  CHECK(test::listing(dir / "deep/store") == std::vector<std::string>{"builds/"});
}

TEST_CASE("a probe of a store leaves nothing behind") {
  const TestSite site;
  const auto before = test::listing(site.dir / "store");
  const auto probe = probe_store(site.dir / "store");
  CHECK(probe.missing.empty());
  CHECK(probe.existing == site.dir / "store");
  CHECK(test::listing(site.dir / "store") == before);
}

TEST_CASE("a store at a file, or at a symlink to nothing, is an error that names it") {
  const test::TempDir dir("probe");
  test::write_file(dir / "file", "x");
  fs::create_symlink("not mounted", dir / "link");
  for (const char* root : {"file", "file/store", "link", "link/store"}) {
    CHECK_THAT(error_of([&] { probe_store(dir / root); }).what(),
               Contains((dir / std::string(root).substr(0, 4)).string()));
  }
}

}  // namespace
}  // namespace zipmodule::archive
