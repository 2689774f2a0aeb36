// Content roots whose disks come and go, and files whose times don't tell.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "archive/site.hpp"
#include "base/fd.hpp"
#include "storage/root_place.hpp"
#include "support/mounted.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::Mounted;

// A file that is written through memory, as databases and some editors do.
class Mapping {
 public:
  explicit Mapping(const fs::path& path) : fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    bytes_ = static_cast<char*>(::mmap(nullptr, k_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
    REQUIRE(bytes_ != MAP_FAILED);
  }
  ~Mapping() { ::munmap(bytes_, k_bytes); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void write(const char* text) { std::memcpy(bytes_, text, std::strlen(text)); }

 private:
  static constexpr std::size_t k_bytes = 4'096;
  Fd fd_;
  char* bytes_ = nullptr;
};

// A root that is opened anew for each attempt, as a run's.
Roots places(const TestSite& site, const fs::path& folder, const std::string& marker = {}) {
  const auto open = [folder, store = fs::path(site.dir / "store")] {
    return std::make_shared<const storage::LocalRoot>("default", folder, store);
  };
  Roots roots;
  roots.emplace("default", storage::RootPlace(open, marker));
  return roots;
}

FinishedBuild build(TestSite& site, const Roots& roots, const std::string& json,
                    std::optional<StoredFile> older = std::nullopt, bool skip = false) {
  BuildProgress progress;
  BuildMeasurements measured;
  const Builder builder(site.store(), roots, {site.options}, site.resources());
  return builder.build({"series/archive", json, zip::Level::balanced, skip, older}, {}, progress, measured);
}

std::string bytes_of(const TestSite& site, const FinishedBuild& build) {
  return test::read_file(site.store().absolute(build.file.build_id));
}

TEST_CASE("what is written through a mapping after a build is in the next one") {
  TestSite site;
  const fs::path path = site.file("default/mapped", std::string(4'096, '.'));
  Mapping mapping(path);
  mapping.write("first");
  const auto first = site.build(R"([{"source": "mapped"}])", zip::Level::store);
  CHECK_THAT(bytes_of(site, first), Contains("first"));
  const auto same = site.build_after(first.file, R"([{"source": "mapped"}])", zip::Level::store);
  CHECK(same.file.build_id == first.file.build_id);  // young as it is
  mapping.write("second");
  const auto second = site.build_after(first.file, R"([{"source": "mapped"}])", zip::Level::store);
  CHECK_THAT(bytes_of(site, second), Contains("second"));
}

TEST_CASE("on tmpfs, where a mapping moves no times, every file is read every time") {
  TestSite site;
  std::string why_not;
  const auto mount = Mounted::tmpfs(site.dir / "default", why_not);
  if (!mount) {
    WARN("tmpfs was not tested: " << why_not);
    return;
  }
  const Roots roots = places(site, site.dir / "default");
  Mapping mapping(site.file("default/mapped", std::string(4'096, '.')));
  mapping.write("first");
  const auto first = build(site, roots, R"([{"source": "mapped"}])");
  mapping.write("second");
  const auto second = build(site, roots, R"([{"source": "mapped"}])", first.file);
  CHECK(second.fingerprint != first.fingerprint);
}

TEST_CASE("a file that holds more than its size says fails its job, and is no empty entry") {
  TestSite site;
  Roots roots;
  roots.emplace("default", std::make_shared<storage::LocalRoot>("default", "/proc", ""));
  const Error error = error_of([&] { build(site, roots, R"([{"source": "version"}])"); });
  CHECK(error.kind() == ErrorKind::source_unreadable);
  CHECK_THAT(error.what(), Contains("default:version has more bytes than the 0 that its size says"));
}

TEST_CASE("a root that is the link to the current release is looked up by every attempt") {
  TestSite site;
  site.file("release-1/file", "one");
  site.file("release-2/file", "two");
  fs::create_directory_symlink("release-1", site.dir / "current");
  const Roots roots = places(site, site.dir / "current");
  const auto first = build(site, roots, R"([{"source": "file"}])");
  CHECK_THAT(bytes_of(site, first), Contains("one"));
  fs::remove(site.dir / "current");
  fs::create_directory_symlink("release-2", site.dir / "current");
  CHECK_THAT(bytes_of(site, build(site, roots, R"([{"source": "file"}])", first.file)), Contains("two"));
}

TEST_CASE("a root without its marker is away, before any source is missing or left out") {
  TestSite site;
  site.file("default/file");
  const Roots roots = places(site, site.dir / "default", ".mounted");
  const bool skip = GENERATE(false, true);
  const std::string list = R"([{"source": "file"}, {"source": "gone"}])";
  const Error error = error_of([&] { build(site, roots, list, std::nullopt, skip); });
  CHECK(error.kind() == ErrorKind::root_away);
  CHECK_THAT(error.what(), Contains(".mounted"));
  site.file("default/.mounted");
  CHECK(build(site, roots, R"([{"source": "file"}])").entries == 1);
}

TEST_CASE("a disk that was mounted in a root at the last build, and is not, is away") {
  TestSite site;
  std::string why_not;
  auto mount = Mounted::tmpfs(site.dir / "default/disk/album", why_not);
  if (!mount) {
    WARN("a mount in a root was not tested: " << why_not);
    return;
  }
  site.file("default/file");
  site.file("default/disk/album/a.jpg");
  const Roots roots = places(site, site.dir / "default");
  const std::string list =
      GENERATE(R"([{"source": "default:"}])", R"([{"source": "disk/"}])", R"([{"source": "disk/album"}])",
               R"([{"source": "file"}, {"source": "disk/album/a.jpg"}])");
  const bool skip = GENERATE(false, true);
  CAPTURE(list, skip);
  const auto first = build(site, roots, list);
  mount.reset();
  const Error error = error_of([&] { build(site, roots, list, first.file, skip); });
  CHECK(error.kind() == ErrorKind::root_away);
  CHECK_THAT(error.what(), Contains("disk/album"));
  // Other lists don't need it; and what is there may have moved to the root's own disk.
  CHECK(build(site, roots, R"([{"source": "file"}])", first.file).entries == 1);
  site.file("default/disk/album/a.jpg");
  CHECK(build(site, roots, list, first.file).entries == first.entries);
}

TEST_CASE("a root that was a mount point at the last build, and is none, is away, unless it has a marker") {
  TestSite site;
  std::string why_not;
  auto mount = Mounted::tmpfs(site.dir / "default", why_not);
  if (!mount) {
    WARN("a mounted root was not tested: " << why_not);
    return;
  }
  const Roots roots = places(site, site.dir / "default");
  site.file("default/album/a.jpg");
  const auto first = build(site, roots, R"([{"source": "album"}])");
  mount.reset();
  fs::create_directories(site.dir / "default/album");
  CHECK(error_of([&] { build(site, roots, R"([{"source": "album"}])", first.file); }).kind() == ErrorKind::root_away);
  site.file("default/.there");
  CHECK(build(site, places(site, site.dir / "default", ".there"), R"([{"source": "album"}])", first.file).entries == 1);
  mount = Mounted::tmpfs(site.dir / "default", why_not);  // another device number, maybe
  REQUIRE(mount);
  site.file("default/album/a.jpg");
  CHECK(build(site, roots, R"([{"source": "album"}])", first.file).entries == 2);
}

TEST_CASE("the store is no source under any path that it is mounted on") {
  TestSite site;
  site.file("default/file");
  const auto built = site.build(R"([{"source": "file"}])");
  const std::string file = fs::path(built.file.path()).filename().string();
  const std::string folder = fs::path(built.file.path()).parent_path().string();
  // By its number: every round has a build of its own.
  const std::vector<std::pair<std::string, std::string>> parts{
      {"", built.file.path()}, {"builds", fs::path(folder).filename().string() + "/" + file}, {folder, file}};
  const auto& [part, path] = parts.at(GENERATE(0U, 1U, 2U));
  CAPTURE(part);
  std::string why_not;
  const auto mount = Mounted::bind(site.dir / "store" / part, site.dir / "default/shown/here", why_not);
  if (!mount) {
    WARN("a bind mount of the store was not tested: " << why_not);
    return;
  }
  const Roots roots = places(site, site.dir / "default");
  for (const std::string& source : {std::string("shown"), std::string("shown/here/"), "shown/here/" + path}) {
    CAPTURE(source);
    const Error error = error_of([&] { build(site, roots, fmt::format(R"([{{"source": "{}"}}])", source)); });
    CHECK(error.kind() == ErrorKind::source_outside);
    CHECK_THAT(error.what(), Contains("lies in the archive store"));
  }
}

}  // namespace
}  // namespace zipmodule::archive
