#include "tree/tree.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/random_hex.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::tree {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

ErrorKind kind_of(const std::function<void()>& work) {
  const auto error = test::error_of(work);
  REQUIRE(error);
  return error->kind();
}

struct Place {
  explicit Place(Access access = {}) : tree(dir / "tree", access) { tree.make_folders(); }

  std::string publish(const std::string& content, std::optional<std::int64_t> mtime_ns = std::nullopt) const {
    Part part = tree.create_part(random_hex());
    REQUIRE(pwrite_full(part.fd(), std::as_bytes(std::span(content)), 0));
    part.publish(mtime_ns);
    part.keep();
    return part.build_id();
  }
  fs::perms mode_of(const fs::path& path) const { return fs::status(path).permissions() & fs::perms::mask; }

  test::TempDir dir{"tree"};
  Tree tree;
};

TEST_CASE("a part that is not kept is gone, before it is published and after") {
  const Place place;
  fs::path published;
  {
    Part part = place.tree.create_part(random_hex());
    CHECK(fs::exists(part.path()));
    const Part moved = std::move(part);
    CHECK(fs::exists(moved.path()));
  }
  {
    Part part = place.tree.create_part(random_hex());
    part.publish();
    published = place.tree.build_file(part.build_id());
    CHECK(fs::exists(published));
  }
  CHECK_FALSE(fs::exists(published));
  CHECK(fs::is_empty(place.dir / "tree/tmp"));
}

TEST_CASE("a build bears the time it is given") {
  const Place place;
  const std::string build = place.publish("x", 1'700'000'000'000'000'005);
  CHECK(place.tree.find(build)->mtime_ns == 1'700'000'000'000'000'005);
}

TEST_CASE("archives and the folders above them have the configured mode, whatever the umask is") {
  const auto [mode, folder_mode] = GENERATE(table<unsigned, unsigned>({{0644, 0755}, {0640, 0750}, {0600, 0700}}));
  const ::mode_t before = ::umask(0027);
  const Place place({static_cast<mode_t>(mode)});
  const std::string build = place.publish("x");
  place.tree.switch_link({"s", "a", build});
  ::umask(before);
  CHECK(place.mode_of(place.tree.build_file(build)) == static_cast<fs::perms>(mode));
  for (const fs::path& folder : {place.tree.build_file(build).parent_path(), place.dir / "tree/builds",
                                 place.dir / "tree/public", place.dir / "tree/public/s", place.dir / "tree/tmp"}) {
    CHECK(place.mode_of(folder) == static_cast<fs::perms>(folder_mode));
  }
}

TEST_CASE("folders that were open to all are closed when the mode says so") {
  const Place open;
  Tree(open.dir / "tree", {0640}).make_folders();
  for (const char* name : {"builds", "public", "tmp"})
    CHECK(open.mode_of(open.dir / "tree" / name) == static_cast<fs::perms>(0750));
}

TEST_CASE("archives belong to the configured group") {
  if (::geteuid() != 0) {
    WARN("not tested: needs root");
    return;
  }
  constexpr gid_t k_group = 12'345;
  const Place place({0640, k_group});
  const std::string build = place.publish("x");
  for (const fs::path& path : {place.tree.build_file(build), place.tree.build_file(build).parent_path()}) {
    struct stat s {};
    REQUIRE(::stat(path.c_str(), &s) == 0);
    CHECK(s.st_gid == k_group);
  }
}

TEST_CASE("no text that is no build id becomes a path") {
  const Place place;
  const std::string id =
      GENERATE(as<std::string>(), "", "../victim", "../../../../../../../../victim.zip", "ABCDEF", std::string(31, 'a'),
               std::string(33, 'a'), std::string(31, 'a') + "/", std::string(31, 'a') + "A");
  test::write_file(place.dir / "tree/victim.link", "x");
  test::write_file(place.dir / "tree/victim.zip", "x");
  CHECK(kind_of([&] { place.tree.remove_build(id); }) == ErrorKind::internal);
  CHECK(kind_of([&] { place.tree.remove_link({"s", "a", id}); }) == ErrorKind::internal);
  CHECK(kind_of([&] { place.tree.find(id); }) == ErrorKind::internal);
  CHECK(kind_of([&] { place.tree.create_part(id); }) == ErrorKind::internal);
  CHECK(kind_of([&] { place.tree.switch_link({"s", "a", id}); }) == ErrorKind::internal);
  CHECK(fs::exists(place.dir / "tree/victim.link"));
  CHECK(fs::exists(place.dir / "tree/victim.zip"));
}

TEST_CASE("a link that leads elsewhere than to a build is no link to a build") {
  const Place place;
  fs::create_directories(place.dir / "tree/public/s");
  for (const char* target : {"/etc/passwd", "../../builds/ab/short.zip", "../../../outside.zip"}) {
    fs::remove(place.dir / "tree/public/s/a.zip");
    fs::create_symlink(target, place.dir / "tree/public/s/a.zip");
    CHECK_FALSE(place.tree.link_target("s", "a"));
  }
}

TEST_CASE("all public names are found, with what they lead to") {
  const Place place;
  const std::string build = place.publish("x");
  place.tree.switch_link({"s", "a", build});
  place.tree.switch_link({"other", "b", build});
  test::write_file(place.dir / "tree/public/s/stray.zip", "x");
  std::set<std::string> found;
  place.tree.for_each_link(
      [&](const Link& link) { found.insert(link.series + "/" + link.archive + " " + link.build_id); });
  CHECK(found == std::set<std::string>{"other/b " + build, "s/a " + build});
}

TEST_CASE("a marker is written in one step, and read as it was") {
  const Place place;
  CHECK_FALSE(place.tree.read_marker(".marker"));
  place.tree.write_marker(".marker", "first");
  place.tree.write_marker(".marker", "second");
  CHECK(place.tree.read_marker(".marker") == "second");
  CHECK_FALSE(fs::exists(place.dir / "tree/.marker.new"));
}

TEST_CASE("a link is switched by rename, and points at one build at a time") {
  const Place site;
  const auto first = site.publish("first");
  const auto second = site.publish("second");
  const Tree& store = site.tree;
  CHECK(store.link_target("series", "archive") == std::nullopt);
  store.switch_link({"series", "archive", first});
  CHECK(store.link_target("series", "archive") == first);
  CHECK(test::read_file(site.dir / "tree/public/series/archive.zip") == "first");
  store.switch_link({"series", "archive", second});
  store.switch_link({"series", "archive", second});
  CHECK(test::read_file(site.dir / "tree/public/series/archive.zip") == "second");
  CHECK(fs::read_symlink(site.dir / "tree/public/series/archive.zip").is_relative());
  CHECK(fs::is_empty(site.dir / "tree/tmp"));

  store.remove_link({"series", "archive", first});  // not the one it points at
  CHECK(store.link_target("series", "archive") == second);
  store.remove_link({"series", "archive", second});
  CHECK(store.link_target("series", "archive") == std::nullopt);
  store.remove_link({"series", "archive", second});
}

TEST_CASE("a link takes the place of whatever file stands there, and names a folder that does") {
  const Place site;
  const auto stored = site.publish("x");
  test::write_file(site.dir / "tree/public/s/file.zip", "x");
  site.tree.switch_link({"s", "file", stored});
  CHECK(site.tree.link_target("s", "file") == stored);
  fs::create_directories(site.dir / "tree/public/s/folder.zip");
  CHECK_THAT(test::error_of([&] { site.tree.switch_link({"s", "folder", stored}); })->what(), Contains("folder.zip"));
  CHECK(fs::is_empty(site.dir / "tree/tmp"));
}

TEST_CASE("names that lead out of public/ make no link") {
  const Place site;
  const auto [series, archive] = GENERATE(table<std::string, std::string>({{"..", "a"},
                                                                           {"a", ".."},
                                                                           {".", "a"},
                                                                           {"", "a"},
                                                                           {"a", ""},
                                                                           {"a/b", "c"},
                                                                           {"a", "../x"},
                                                                           {".hidden", "a"},
                                                                           {std::string("a\0b", 3), "c"}}));
  CHECK(kind_of([&, &s = series, &a = archive] {
          site.tree.switch_link({s, a, std::string(32, 'a')});
        }) == ErrorKind::payload);
  CHECK(kind_of([&, &s = series, &a = archive] { site.tree.link_target(s, a); }) == ErrorKind::payload);
}

TEST_CASE("a sweep removes everything in tmp/, whatever it is, and nothing else") {
  const Place site;
  const auto stored = site.publish("archive");
  test::write_file(site.dir / "tree/tmp/left.zip", "x");
  test::write_file(site.dir / "tree/tmp/folder/of/someone", "x");
  fs::create_symlink("/etc", site.dir / "tree/tmp/link");
  CHECK(site.tree.sweep_temporaries() == 3);
  CHECK(fs::is_empty(site.dir / "tree/tmp"));
  CHECK(fs::exists("/etc/passwd"));
  CHECK(fs::exists(site.tree.build_file(stored)));
  CHECK(site.tree.sweep_temporaries() == 0);
}

}  // namespace
}  // namespace zipmodule::tree
