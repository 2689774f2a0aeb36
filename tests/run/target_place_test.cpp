#include "run/target_place.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "tree/marker.hpp"

namespace zipmodule::run {
namespace {

using Catch::Matchers::Contains;
using test::error_of;

const std::string k_database(32, 'd');
const std::string k_build(32, '1');
const std::string k_seen(32, 'a');

std::string text_of(const std::string& target, const std::string& database = k_database) {
  return to_text(tree::TargetMarker{target, database});
}

// A place in memory.
class FakeTarget final : public storage::Target {
 public:
  FakeTarget() : Target("backup") {}

  std::optional<std::string> marker;
  std::set<std::string> builds;
  unsigned markers_written = 0;
  std::function<void()> after_writing = [] {};  // what another host does then

  unsigned parallel() const noexcept override { return 1; }
  Condition probe(const std::stop_token& /*stop*/) override { return {}; }

 private:
  std::optional<std::string> do_read_marker(const std::stop_token& /*stop*/) override { return marker; }
  void do_write_marker(const std::string& text, const std::stop_token& /*stop*/) override {
    marker = text;
    ++markers_written;
    after_writing();
  }
  bool do_is_empty(const std::stop_token& /*stop*/) override { return builds.empty(); }
  bool do_has_build(const std::string& id, const std::stop_token& /*stop*/) override { return builds.contains(id); }
  std::uint64_t do_put(const storage::LocalSource& /*file*/, const std::string& id,
                       const std::stop_token& /*stop*/) override {
    builds.insert(id);
    return 1;
  }
  void do_point(const tree::Link& /*link*/, const std::stop_token& /*stop*/) override {}
  bool do_unpoint(const tree::Link& /*link*/, const std::stop_token& /*stop*/) override { return false; }
  void do_remove(const std::string& id, const std::stop_token& /*stop*/) override { builds.erase(id); }
};

struct Settled {
  std::optional<Error> error;
  std::vector<std::string> remembered;
};

Settled settle(FakeTarget& target, const KnownPlace& known) {
  Settled settled;
  settled.error = error_of(
      [&] { settle_place(target, known, [&](const std::string& id) { settled.remembered.push_back(id); }, {}); });
  return settled;
}

// Whether the place is refused so, both to a run and to a check, and stays as it was.
void is_refused(FakeTarget& target, const KnownPlace& known, ErrorKind kind, const std::string& text) {
  const auto marker = target.marker;
  const Settled settled = settle(target, known);
  const auto checked = place_problem(target, known, {});
  REQUIRE(settled.error);
  REQUIRE(checked);
  INFO(settled.error->full_text());
  CHECK(settled.error->kind() == kind);
  CHECK_THAT(settled.error->full_text(),
             Contains("target backup: ") && Contains(text) && Contains("zipmodule store adopt --target backup"));
  CHECK(checked->full_text() == settled.error->full_text());
  CHECK(settled.remembered.empty());
  CHECK(target.marker == marker);
  CHECK(target.markers_written == 0);
  CHECK(error_of([&] { target.put({}, k_build, {}); })->kind() == ErrorKind::internal);  // it expects no marker
}

// Whether it gets a marker of its own, which is remembered and expected.
void is_made(FakeTarget& target, const KnownPlace& known) {
  CHECK_FALSE(place_problem(target, known, {}));
  CHECK_FALSE(target.marker);  // a check writes nothing
  const Settled settled = settle(target, known);
  REQUIRE_FALSE(settled.error);
  REQUIRE(target.marker);
  const auto marker = tree::parse_target_marker(*target.marker);
  REQUIRE(marker);
  CHECK(marker->database == k_database);
  CHECK(settled.remembered == std::vector<std::string>{marker->target});
  CHECK(target.put({}, k_build, {}) == 1);
}

TEST_CASE("an empty place that the database never saw gets a marker, which is remembered") {
  FakeTarget target;
  is_made(target, {k_database, std::nullopt, {}});
}

TEST_CASE("a place with a build that the database knows gets a marker, which is remembered") {
  FakeTarget target;
  target.builds = {k_build, std::string(32, '9')};
  is_made(target, {k_database, std::nullopt, {std::string(32, '2'), k_build}});
}

TEST_CASE("a place that the database never saw and where others' builds lie is refused") {
  FakeTarget target;
  target.builds = {std::string(32, '9')};
  is_refused(target, {k_database, std::nullopt, {k_build}}, ErrorKind::target_refused, "does not know");
}

TEST_CASE("a place that has lost the marker that the database knows is unreachable, empty or not") {
  FakeTarget target;
  if (GENERATE(false, true)) target.builds = {k_build};
  is_refused(target, {k_database, k_seen, {k_build}}, ErrorKind::target_unreachable, "has no marker");
}

TEST_CASE("a place with another marker than the database knows is unreachable") {
  FakeTarget target;
  target.marker = text_of(std::string(32, 'b'));
  target.builds = {k_build};
  is_refused(target, {k_database, k_seen, {k_build}}, ErrorKind::target_unreachable, "that of another place");
}

TEST_CASE("a place of another database is refused, known or not") {
  FakeTarget target;
  target.marker = text_of(k_seen, std::string(32, 'e'));
  const auto seen = GENERATE(as<std::optional<std::string>>(), std::nullopt, k_seen);
  is_refused(target, {k_database, seen, {}}, ErrorKind::target_refused, "another database");
}

TEST_CASE("a marker that can't be understood is refused") {
  FakeTarget target;
  target.marker = GENERATE(as<std::string>(), "", "zipmodule target 2\n", "x");
  const auto seen = GENERATE(as<std::optional<std::string>>(), std::nullopt, k_seen);
  is_refused(target, {k_database, seen, {}}, ErrorKind::target_refused, "can't be understood");
}

TEST_CASE("a place with the marker that the database knows is gone on with, and nothing is written") {
  FakeTarget target;
  target.marker = text_of(k_seen);
  const KnownPlace known{k_database, k_seen, {}};
  CHECK_FALSE(place_problem(target, known, {}));
  const Settled settled = settle(target, known);
  CHECK_FALSE(settled.error);
  CHECK(settled.remembered.empty());
  CHECK(target.markers_written == 0);
  CHECK(target.put({}, k_build, {}) == 1);
}

TEST_CASE("a place that another host of this database has marked is taken over as it is, and remembered") {
  FakeTarget target;
  target.marker = text_of(k_seen);
  target.builds = {std::string(32, '9')};
  const Settled settled = settle(target, {k_database, std::nullopt, {}});
  CHECK_FALSE(settled.error);
  CHECK(settled.remembered == std::vector<std::string>{k_seen});
  CHECK(target.markers_written == 0);
}

TEST_CASE("of two hosts that mark a place at once, both go on with the marker that stayed") {
  FakeTarget target;
  target.after_writing = [&] { target.marker = text_of(k_seen); };
  const Settled settled = settle(target, {k_database, std::nullopt, {}});
  CHECK_FALSE(settled.error);
  CHECK(settled.remembered == std::vector<std::string>{k_seen});
  CHECK(target.put({}, k_build, {}) == 1);
}

TEST_CASE("a marker that does not stay, or is another database's by then, makes the place unreachable") {
  FakeTarget target;
  const bool lost = GENERATE(false, true);
  target.after_writing = [&] {
    if (lost)
      target.marker.reset();
    else
      target.marker = text_of(k_seen, std::string(32, 'e'));
  };
  const Settled settled = settle(target, {k_database, std::nullopt, {}});
  REQUIRE(settled.error);
  CHECK(settled.error->kind() == ErrorKind::target_unreachable);
  CHECK(settled.remembered.empty());
}

TEST_CASE(
    "an adopted place keeps a marker of this database, which other stores know, and gets one in place of any other") {
  FakeTarget target;
  target.marker = text_of(k_seen);
  CHECK(adopt_place(target, k_database, {}) == k_seen);
  CHECK(target.markers_written == 0);
  target.marker = GENERATE(as<std::optional<std::string>>(), std::nullopt, "x", text_of(k_seen, std::string(32, 'e')));
  const std::string adopted = adopt_place(target, k_database, {});
  CHECK(adopted != k_seen);
  CHECK(target.marker == text_of(adopted));
}

TEST_CASE("a folder of this host is a place of its store, and any other the same for all") {
  const config::Place folder = std::filesystem::path("/mnt/backup");
  CHECK(place_key("one", folder) != place_key("two", folder));
  config::S3Place bucket;
  bucket.bucket = "backup";
  CHECK(place_key("one", bucket) == place_key("two", bucket));
}

}  // namespace
}  // namespace zipmodule::run
