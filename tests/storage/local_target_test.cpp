// A folder of this host that is a disk of its own, away or without symlinks. What every target promises is in target_test.cpp.
#include "storage/local_target.hpp"

#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "storage/target_places.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "support/without_symlinks.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::listing;

const std::string k_build = "abcdef" + std::string(26, '0');
const std::string k_other = "abcdef" + std::string(26, '1');
const tree::Link k_link{"series", "archive", k_build};

// A folder with a file system in memory mounted there.
class Disk {
 public:
  explicit Disk(fs::path folder) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=16m") == 0;
    if (!mounted_) throw Error(ErrorKind::io, fmt::format("mount {}: {}", folder_.string(), errno_text(errno)));
  }
  ~Disk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  void unmount() {
    if (::umount(folder_.c_str()) != 0) throw Error(ErrorKind::io, fmt::format("umount: {}", errno_text(errno)));
    mounted_ = false;
  }

 private:
  const fs::path folder_;
  bool mounted_ = false;
};

TEST_CASE("a disk that is unmounted between two calls makes its target unreachable, and nothing is written below it") {
  if (::geteuid() != 0) {
    WARN("not tested: mounting needs root");
    return;
  }
  const test::TempDir dir("disk");
  const fs::path folder = dir / "target";
  Disk disk(folder);
  LocalTarget target("backup", folder);
  const Archive archive("content");
  target.write_marker(k_ours, {});
  target.expect(k_ours);
  target.put(archive.source(), k_build, {});
  target.point(k_link, {});
  disk.unmount();
  REQUIRE(listing(folder).empty());
  for (const auto& work : std::vector<std::function<void()>>{
           [&] { target.put(archive.source(), k_other, {}); }, [&] { target.put(archive.source(), k_build, {}); },
           [&] { target.point(k_link, {}); }, [&] { target.unpoint(k_link, {}); },
           [&] { target.remove(k_build, {}); }}) {
    const auto error = error_of(work);
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::target_unreachable);
    CHECK_THAT(error->full_text(), Contains("target backup: ") && Contains("mount its disk"));
    CHECK(listing(folder).empty());
  }
  // Another, empty disk at the same place.
  const Disk another(folder);
  CHECK(error_of([&] { target.put(archive.source(), k_other, {}); })->kind() == ErrorKind::target_unreachable);
  CHECK(listing(folder).empty());
}

TEST_CASE("a public name is made where a person emptied tmp/ and public/, and the archive is there already") {
  const LocalPlace place;
  const auto target = place.target();
  const Archive archive("content");
  target->put(archive.source(), k_build, {});
  fs::remove_all(place.folder() / "tmp");
  fs::remove_all(place.folder() / "public");
  CHECK(target->put(archive.source(), k_build, {}) == 0);
  target->point(k_link, {});
  CHECK(place.content("public/series/archive.zip") == "content");
}

TEST_CASE("a probe of a folder notices that no symlinks can be made there, and leaves nothing behind") {
  const LocalPlace place;
  std::optional<Error> error;
  test::without_symlinks([&] { error = error_of([&] { place.stranger()->probe({}); }); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->full_text(), Contains("target backup: ") && Contains("symlinks"));
  CHECK(listing(place.folder()).empty());
}

}  // namespace
}  // namespace zipmodule::storage
