#include "archive/store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <limits>
#include <set>
#include <string>

#include "archive/site.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

StoredFile publish(const Store& store, const std::string& content) {
  TemporaryBuild build = store.create_temporary();
  REQUIRE(pwrite_full(build.fd(), std::as_bytes(std::span(content)), 0));
  return build.publish();
}

TEST_CASE("a store makes its folders, and finds them again") {
  const test::TempDir dir("store");
  const fs::path root = dir / "deep/below/store";
  const Store store(root, 0);
  CHECK(test::listing(root) == std::vector<std::string>{"builds/", "public/", "tmp/"});
  const Store again(root, 0);
}

TEST_CASE("a build whose record can't be written is not published, and leaves nothing") {
  TestSite site;
  {
    TemporaryBuild build = site.store().create_temporary();
    const auto record = [](const std::string& path) {
      test::write_file(path, "half a reco");
      throw Error(ErrorKind::disk_full, "no space left on device");
    };
    CHECK(error_of([&] { build.publish(record); }).kind() == ErrorKind::disk_full);
  }
  for (const auto& found : fs::recursive_directory_iterator(site.dir / "store")) CHECK(found.is_directory());
}

TEST_CASE("a store at a symlink to a disk that is not mounted is an error, not a crash") {
  const test::TempDir dir("store");
  fs::create_symlink("not mounted", dir / "store");
  const Error error = error_of([&] { Store(dir / "store", 0); });
  CHECK(error.kind() == ErrorKind::io);
  CHECK_THAT(error.what(), Contains((dir / "store").string()));
}

TEST_CASE("a store at a file, or below one, is an error that names it") {
  const test::TempDir dir("store");
  test::write_file(dir / "file", "x");
  for (const char* root : {"file", "file/store"}) {
    CHECK_THAT(error_of([&] { Store(dir / root, 0); }).what(), Contains((dir / root).string()));
  }
}

TEST_CASE("a published build is where its record says, readable by all, and no temporary any more") {
  const TestSite site;
  const ::mode_t before = ::umask(0077);
  const StoredFile stored = publish(site.store(), "archive");
  ::umask(before);
  CHECK(stored.build_id.size() == 32);
  CHECK(stored.build_id.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(stored.path() == "builds/" + stored.build_id.substr(0, 2) + "/" + stored.build_id + ".zip");
  CHECK(stored.size_bytes == 7);
  CHECK(test::read_file(site.store().absolute(stored.build_id)) == "archive");
  CHECK((fs::status(site.store().absolute(stored.build_id)).permissions() & fs::perms::mask) ==
        static_cast<fs::perms>(0644));
  CHECK(fs::is_empty(site.dir / "store/tmp"));
  CHECK(site.store().state_of(stored) == BuildState::good);
}

TEST_CASE("a build that is not published leaves nothing behind, also when it was moved") {
  const TestSite site;
  {
    TemporaryBuild build = site.store().create_temporary();
    CHECK(fs::exists(build.path()));
    const TemporaryBuild moved = std::move(build);
    CHECK(fs::exists(moved.path()));
  }
  CHECK(fs::is_empty(site.dir / "store/tmp"));
}

TEST_CASE("a hundred builds have a hundred names") {
  const TestSite site;
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) made.insert(publish(site.store(), "x").build_id);
  CHECK(made.size() == 100);
  std::set<std::string> visited;
  site.file("store/builds/stray.txt");
  site.file("store/builds/ab/short.zip");
  site.file("store/builds/ab/" + std::string(32, 'a') + ".tmp");
  site.store().for_each_build([&](const std::string& id) { visited.insert(id); });
  CHECK(visited == made);
}

TEST_CASE("a build is good, touched, of another size, or missing") {
  const TestSite site;
  const auto stored = publish(site.store(), "archive");
  const fs::path path = site.store().absolute(stored.build_id);
  const auto state = [&] { return site.store().state_of(stored); };
  CHECK(state() == BuildState::good);
  test::set_mtime(path, 1'000'000'000);
  CHECK(state() == BuildState::touched);
  test::write_file(path, "archiv");
  CHECK(state() == BuildState::wrong_size);
  fs::remove(path);
  CHECK(state() == BuildState::missing);
  fs::create_symlink("/etc/passwd", path);
  CHECK(state() == BuildState::missing);
  fs::remove(path);
  fs::create_directory(path);
  CHECK(state() == BuildState::missing);
}

TEST_CASE("removing a build that is gone is no error") {
  const TestSite site;
  const auto stored = publish(site.store(), "archive");
  site.store().remove_build(stored.build_id);
  CHECK_FALSE(fs::exists(site.store().absolute(stored.build_id)));
  site.store().remove_build(stored.build_id);
}

TEST_CASE("what a hand removed from the store is told as the store's error") {
  const TestSite site;
  fs::remove(site.dir / "store/tmp");
  fs::remove(site.dir / "store/builds");
  CHECK_THAT(error_of([&] { site.store().create_temporary(); }).what(), Contains("store/tmp"));
  CHECK_THAT(error_of([&] { site.store().tree().sweep_temporaries(); }).what(), Contains("store/tmp"));
  CHECK_THAT(error_of([&] { site.store().for_each_build([](const auto&) {}); }).what(), Contains("store/builds"));
}

TEST_CASE("space is promised once, and given back") {
  const TestSite site;
  const std::uint64_t free = site.store().tree().free_bytes();
  REQUIRE(free > 0);
  {
    const auto most = site.store().reserve(free / 2);
    CHECK(error_of([&] { site.store().reserve(free / 10 * 6); }).kind() == ErrorKind::disk_reserve);
  }
  const auto now = site.store().reserve(free / 10 * 6);
}

TEST_CASE("a build that would leave less than min_free is refused, with the figures") {
  const TestSite site(std::uint64_t{1} << 60U);
  const Error error = error_of([&] { site.store().reserve(12'345); });
  CHECK(error.kind() == ErrorKind::disk_reserve);
  CHECK_THAT(error.what(), Contains("12345") && Contains("1152921504606846976"));
}

TEST_CASE("a reservation that is refused or moved counts no more than it should") {
  const TestSite site;
  const std::uint64_t free = site.store().tree().free_bytes();
  for (int i = 0; i < 100; ++i) CHECK_THROWS_AS(site.store().reserve(free * 2), Error);
  auto held = site.store().reserve(free / 2);
  const auto moved = std::move(held);
  CHECK_THROWS_AS(site.store().reserve(free / 10 * 6), Error);
}

// What builds in progress still need, as a refused reservation tells.
std::uint64_t still_needed(const Store& store) {
  constexpr std::uint64_t k_too_much = std::uint64_t{1} << 60U;
  const std::string told = error_of([&] { store.reserve(k_too_much); }).what();
  const std::string before = "builds in progress need ";
  return std::stoull(told.substr(told.find(before) + before.size())) - k_too_much;
}

TEST_CASE("what a build has written of its promise is not counted a second time") {
  const TestSite site;
  const Store& store = site.store();
  constexpr std::uint64_t k_mib = 1 << 20;
  const std::string part(k_mib, 'x');
  {
    const auto held = store.reserve(10 * k_mib);
    CHECK(still_needed(store) == 10 * k_mib);
    auto build = store.create_temporary();
    REQUIRE(pwrite_full(build.fd(), std::as_bytes(std::span(part)), 0));
    CHECK(still_needed(store) == 9 * k_mib);
    // A piece whose place is behind others that are not there yet: the hole takes nothing.
    REQUIRE(pwrite_full(build.fd(), std::as_bytes(std::span(part)), 8 * k_mib));
    CHECK(still_needed(store) == 8 * k_mib);
    auto moved = std::move(build);
    moved.publish();
    CHECK(still_needed(store) == 8 * k_mib);
  }
  CHECK(still_needed(store) == 0);
}

TEST_CASE("a small build's block takes nothing of what is promised to another") {
  const TestSite site;
  const auto small = site.store().reserve(1);
  const auto large = site.store().reserve(1'000'000);
  auto build = site.store().create_temporary();
  REQUIRE(pwrite_full(build.fd(), std::as_bytes(std::span(std::string_view("x"))), 0));
  CHECK(still_needed(site.store()) == 1'000'000);
}

TEST_CASE("one process locks a store at a time") {
  const TestSite site;
  const auto lock = site.store().try_lock();
  CHECK(lock);
  CHECK_FALSE(site.store().try_lock());
}

}  // namespace
}  // namespace zipmodule::archive
