// What every target promises, each held to it by where it delivers to. What goes wrong with hosts is in sftp_target_test.cpp,
// with buckets in s3_target_test.cpp, and with disks in local_target_test.cpp.
#include "storage/target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/target_places.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/loop_mount.hpp"
#include "support/process.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::random_bytes;

std::string id_of(std::size_t number) { return fmt::format("{:032x}", number); }

const std::string k_build = "abcdef" + std::string(26, '0');
const std::string k_other = "abcdef" + std::string(26, '1');
const std::string k_name = build_path(k_build);
const tree::Link k_wanted{"series", "archive", k_build};
const std::string k_link = public_path(k_wanted.series, k_wanted.archive);

using Names = std::vector<std::string>;

// --- putting -------------------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("an archive arrives under its name whole, and nothing else does", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  const std::size_t size = GENERATE(0, 5, (1U << 20U) + 3, 40'000'000);
  const Archive archive(random_bytes(size));
  const auto target = place.target();
  CHECK(target->parallel() >= 1);
  CHECK(target->put(archive.source(), k_build, {}) == size);
  CHECK(place.names() == Names{k_marker, k_name});
  CHECK((place.content(k_name) == archive.content()));
}

TEMPLATE_TEST_CASE("an archive that is there is not sent again", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const Archive archive(random_bytes(100'000));
  const auto target = place.target();
  target->put(archive.source(), k_build, {});
  const std::string other = random_bytes(100'000, 2);
  place.write(k_name, other);
  CHECK(target->put(archive.source(), k_build, {}) == 0);
  CHECK((place.content(k_name) == other));
  CHECK(place.target()->put(archive.source(), k_build, {}) == 0);
  CHECK(place.names() == Names{k_marker, k_name});
}

TEMPLATE_TEST_CASE("what has that name and another size is replaced", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const std::size_t size = GENERATE(0, 99'999, 100'001);
  const Archive archive(random_bytes(100'000));
  place.write(k_name, random_bytes(size, 2));
  CHECK(place.target()->put(archive.source(), k_build, {}) == 100'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_marker, k_name});
}

TEMPLATE_TEST_CASE("what an upload that was killed left is no obstacle, and gone", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const std::size_t left = GENERATE(0, 60'000, 100'000, 3'000'000);
  const std::size_t size = std::max<std::size_t>(100'000, place.leaves_half_bytes());
  const Archive archive(random_bytes(size));
  place.leave_half(k_build, random_bytes(left, 2));
  REQUIRE_FALSE(place.content(k_name));
  REQUIRE(place.names().size() == 1);
  CHECK(place.target()->put(archive.source(), k_build, {}) == size);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_marker, k_name});
}

TEMPLATE_TEST_CASE("a folder of the archive's name is an error that names the target", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  if (!place.has_folders()) return;
  const Archive archive(random_bytes(100));
  place.make_folder(k_name);
  const auto error = error_of([&] { place.target()->put(archive.source(), k_build, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->what(), Contains("target backup"));
}

TEMPLATE_TEST_CASE("a file in the place of a folder is an error that names the target", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  if (!place.has_folders()) return;
  const Archive archive(random_bytes(100));
  place.write("builds", "a file");
  const auto error = error_of([&] { place.target()->put(archive.source(), k_build, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->what(), Contains("target backup"));
  CHECK(place.names() == Names{k_marker, "builds"});
}

TEMPLATE_TEST_CASE("an archive that is shorter than told is not delivered, and the next one is", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const Archive archive(random_bytes(20'000'000));
  const auto target = place.target();
  LocalSource longer = archive.source();
  longer.size_bytes *= 2;
  const auto error = error_of([&] { target->put(longer, k_build, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::corrupt);
  CHECK_FALSE(place.content(k_name));
  CHECK(target->put(archive.source(), k_build, {}) == 20'000'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_marker, k_name});
}

TEMPLATE_TEST_CASE("names arrive as they are", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  Names expected{k_marker};
  std::size_t number = 0;
  for (const char* name :
       {"with space", "\u00fc\u65e5\u672c", "it's \"this\"", "back\\slash", "-rf", "%41&?#+;*", "a.zip"}) {
    const tree::Link link{name, name, id_of(++number)};
    CHECK(target->put(archive.source(), link.build_id, {}) == 7);
    target->point(link, {});
    CHECK(place.content(fmt::format("public/{}/{}.zip", name, name)) == "content");
    CHECK(target->unpoint(link, {}));
    expected.push_back(build_path(link.build_id));
  }
  CHECK(place.names() == expected);
  for (std::size_t i = 1; i <= number; ++i) target->remove(id_of(i), {});
  CHECK(place.names() == Names{k_marker});
}

TEMPLATE_TEST_CASE("no text that is no build id, and no name that leads elsewhere, gets anywhere", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  place.write("victim.zip", "content");
  const auto target = place.target();
  const Archive archive("content");
  const auto fails = [](const std::function<void()>& work) { CHECK(error_of(work)); };
  for (const std::string& id : {std::string(), std::string("../victim"), std::string("/etc/passwd"),
                                std::string(32, 'A'), "../" + std::string(29, 'a')}) {
    INFO(id);
    fails([&] { target->put(archive.source(), id, {}); });
    fails([&] { target->point({"s", "a", id}, {}); });
    fails([&] { target->unpoint({"s", "a", id}, {}); });
    fails([&] { target->remove(id, {}); });
  }
  for (const std::string& name : {std::string(), std::string(".."), std::string("../.."), std::string("a/b")}) {
    INFO(name);
    fails([&] { target->point({name, "a", k_build}, {}); });
    fails([&] { target->unpoint({"s", name, k_build}, {}); });
  }
  CHECK(place.names() == Names{k_marker, "victim.zip"});
}

TEMPLATE_TEST_CASE("several threads put at once", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  constexpr std::size_t k_archives = 24;
  std::vector<std::unique_ptr<Archive>> archives;
  for (std::size_t i = 0; i < k_archives; ++i)
    archives.push_back(std::make_unique<Archive>(random_bytes(300'000 + i, i)));
  const auto build_of = [](std::size_t i) { return fmt::format("{:02x}{:030x}", i / 4, i); };
  std::mutex mutex;
  Names problems;  // Catch's assertions are for one thread
  {
    std::atomic<std::size_t> next = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < k_archives; i = next++) {
          const auto error = error_of([&] {
            target->put(archives[i]->source(), build_of(i), {});
            target->point({std::to_string(i / 4), std::to_string(i), build_of(i)}, {});
          });
          const std::lock_guard lock(mutex);
          if (error) problems.push_back(error->full_text());
        }
      });
    }
  }
  CHECK(problems.empty());
  for (const auto& problem : problems) UNSCOPED_INFO(problem);
  CHECK(place.names().size() == 1 + 2 * k_archives);
  for (std::size_t i = 0; i < k_archives; ++i) {
    CHECK((place.content(build_path(build_of(i))) == archives[i]->content()));
    CHECK((place.content(fmt::format("public/{}/{}.zip", i / 4, i)) == archives[i]->content()));
  }
}

// --- links ---------------------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("a link leads to what it was pointed to last", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive one("one");
  const Archive two("the other");
  const std::string first(32, '1');
  const std::string second(32, '2');
  target->put(one.source(), first, {});
  target->put(two.source(), second, {});
  target->point({"series", "archive", first}, {});
  CHECK(place.content(k_link) == "one");
  if (place.has_symlinks()) CHECK(place.link_text(k_link) == "../../" + build_path(first));
  target->point({"series", "archive", second}, {});
  CHECK(place.content(k_link) == "the other");
  target->point({"series", "archive", second}, {});
  CHECK(place.content(k_link) == "the other");
  CHECK(place.names() == Names{k_marker, build_path(first), build_path(second), k_link});
}

TEMPLATE_TEST_CASE("what a switch that was killed left is no obstacle, nor is a file of the link's name", "",
                   LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  target->put(archive.source(), k_build, {});
  if (place.switch_leaves_half()) {
    place.leave_half_switch(k_wanted);
    REQUIRE(place.names().size() == 3);
  }
  place.write(k_link, "a file");
  target->point(k_wanted, {});
  CHECK(place.content(k_link) == "content");
  CHECK(place.names() == Names{k_marker, k_name, k_link});
}

TEMPLATE_TEST_CASE("a link that leads somewhere else is not taken away", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  target->put(archive.source(), k_build, {});
  CHECK_FALSE(target->unpoint(k_wanted, {}));
  target->point(k_wanted, {});
  CHECK_FALSE(target->unpoint({"series", "archive", k_other}, {}));
  CHECK(place.content(k_link) == "content");
  CHECK(target->unpoint(k_wanted, {}));
  CHECK(place.names() == Names{k_marker, k_name});
  CHECK_FALSE(target->unpoint(k_wanted, {}));
  place.write(k_link, "a file");
  CHECK_FALSE(target->unpoint(k_wanted, {}));
  CHECK(place.content(k_link) == "a file");
}

TEMPLATE_TEST_CASE("while a link is switched it leads to one archive or the other, and never to half of one", "",
                   LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive one(random_bytes(300'000, 1));
  const Archive two(random_bytes(400'000, 2));
  target->put(one.source(), id_of(1), {});
  target->put(two.source(), id_of(2), {});
  target->point({"series", "archive", id_of(1)}, {});
  std::size_t whole = 0;
  std::size_t missing = 0;
  std::size_t half = 0;
  std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto content = place.content(k_link);
      const bool right = content == one.content() || content == two.content();
      ++(!content ? missing : right ? whole : half);
    }
  });
  const auto error = error_of([&] {
    for (int i = 1; i <= 200; ++i) target->point({"series", "archive", id_of(i % 2 == 1 ? 2 : 1)}, {});
  });
  reader.request_stop();
  reader.join();
  CHECK_FALSE(error);
  CAPTURE(whole, missing, half);
  CHECK(half == 0);
  CHECK(whole > 0);
  if (place.switches_in_one_step()) CHECK(missing == 0);
}

// --- removing and probing ------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("what is removed is gone, with what an upload left of it, and nothing else", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  place.write(k_name, "content");
  place.leave_half(k_build, "con");
  place.write(k_name + ".part", "another's");
  place.write(build_path(k_other), "another's");
  target->remove(k_build, {});
  CHECK(place.names() == Names{k_marker, k_name + ".part", build_path(k_other)});
  target->remove(k_build, {});
  target->remove(id_of(1), {});  // its folder is missing
  place.leave_half(k_build, "con");
  target->remove(k_build, {});
  CHECK(place.names() == Names{k_marker, k_name + ".part", build_path(k_other)});
}

TEMPLATE_TEST_CASE("a probe leaves nothing behind", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  place.write(k_name, "content");
  const auto condition = place.stranger()->probe({});
  CHECK(condition.free_bytes.has_value() == place.tells_free_bytes());
  if (condition.free_bytes) CHECK(*condition.free_bytes > 0);
  CHECK(place.names() == Names{k_name});
}

// --- which place it is ---------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("a marker is read as it was written, and another takes its place", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  const auto target = place.stranger();
  CHECK_FALSE(target->read_marker({}));
  for (const std::string& text : {k_ours, k_anothers, std::string("short\n")}) {
    target->write_marker(text, {});
    CHECK(target->read_marker({}) == text);
    CHECK(place.content(k_marker) == text);
    CHECK(place.names() == Names{k_marker});
  }
}

TEMPLATE_TEST_CASE("a place is empty while no build lies there, and builds are found by their ids", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  CHECK(target->is_empty({}));
  CHECK_FALSE(target->has_build(k_build, {}));
  place.leave_half(k_build, "half");
  CHECK(target->is_empty({}));
  target->put(archive.source(), k_build, {});
  CHECK_FALSE(target->is_empty({}));
  CHECK(target->has_build(k_build, {}));
  CHECK_FALSE(target->has_build(k_other, {}));
  target->remove(k_build, {});
  CHECK(target->is_empty({}));
  CHECK_FALSE(target->has_build(k_build, {}));
}

TEMPLATE_TEST_CASE("without its marker, or with another place's, nothing is put, pointed, unpointed or removed", "",
                   LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const Archive archive("content");
  const auto before = place.target();
  before->put(archive.source(), k_build, {});
  before->point(k_wanted, {});
  place.take_away(k_marker);
  const bool another = GENERATE(false, true);
  if (another) place.write(k_marker, k_anothers);
  const Names names = place.names();
  const auto target = place.stranger();
  target->expect(k_ours);
  const auto refused = [&](const std::function<void()>& work) {
    const auto error = error_of(work);
    REQUIRE(error);
    INFO(error->full_text());
    CHECK(error->kind() == ErrorKind::target_unreachable);
    CHECK_THAT(error->full_text(), Contains("target backup: ") && Contains("marker .zipmodule.target") &&
                                       Contains("zipmodule store adopt --target backup"));
  };
  refused([&] { target->put(archive.source(), k_other, {}); });
  refused([&] { target->put(archive.source(), k_build, {}); });
  refused([&] { target->point({"series", "archive", k_other}, {}); });
  refused([&] { target->unpoint(k_wanted, {}); });
  refused([&] { target->remove(k_build, {}); });
  CHECK(place.names() == names);
  CHECK(place.content(k_link) == "content");
  CHECK(place.content(k_name) == "content");
  // The right disk is back.
  place.write(k_marker, k_ours);
  CHECK(target->put(archive.source(), k_other, {}) == 7);
  CHECK(target->unpoint(k_wanted, {}));
}

TEMPLATE_TEST_CASE("a target that does not know its place yet is not written to", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  place.write(k_marker, k_ours);
  place.write(k_name, "content");
  const Archive archive("content");
  const auto target = place.stranger();
  for (const auto& work : std::vector<std::function<void()>>{
           [&] { target->put(archive.source(), k_other, {}); }, [&] { target->point(k_wanted, {}); },
           [&] { target->unpoint(k_wanted, {}); }, [&] { target->remove(k_build, {}); }}) {
    const auto error = error_of(work);
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::internal);
  }
  CHECK(place.names() == Names{k_marker, k_name});
}

// --- what copies are like ------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("a copy bears its source's time", "", LocalPlace, SftpPlace) {
  const TestType place;
  const Archive archive(random_bytes(100'000));
  place.target()->put(archive.source(), k_build, {});
  struct stat s {};
  REQUIRE(::stat((place.folder() / k_name).c_str(), &s) == 0);
  CHECK(s.st_mtim.tv_sec == Archive::k_mtime_ns / 1'000'000'000);
}

TEST_CASE("a copy in a folder of this host bears its source's time to the nanosecond") {
  const LocalPlace place;
  const Archive archive("content");
  place.target()->put(archive.source(), k_build, {});
  struct stat s {};
  REQUIRE(::stat((place.folder() / k_name).c_str(), &s) == 0);
  CHECK(s.st_mtim.tv_nsec == Archive::k_mtime_ns % 1'000'000'000);
}

TEMPLATE_TEST_CASE("copies, and the folders above them, have the configured mode, whatever the umask is", "",
                   LocalPlace, SftpPlace) {
  const auto [mode, folder_mode] = GENERATE(table<mode_t, unsigned>({{0644, 0755}, {0640, 0750}}));
  const ::mode_t umask_before = ::umask(0022);
  const TestType place;  // its server inherits the umask
  ::umask(0077);
  const auto target = place.target(mode);
  const Archive archive(random_bytes(100'000));
  target->put(archive.source(), k_build, {});
  target->point(k_wanted, {});
  ::umask(umask_before);
  const auto mode_of = [&](const fs::path& path) {
    return fs::status(place.folder() / path).permissions() & fs::perms::mask;
  };
  CHECK(mode_of(k_name) == static_cast<fs::perms>(mode));
  for (const char* folder : {"builds", "builds/ab", "public", "public/series"}) {
    INFO(folder);
    CHECK(mode_of(folder) == static_cast<fs::perms>(folder_mode));
  }
}

// --- trouble -------------------------------------------------------------------------------------------------------

// Every call ends with one of these, and names the target.
void fails(Target& target, const Archive& archive, const std::vector<ErrorKind>& kinds) {
  const std::vector<std::pair<std::string, std::function<void()>>> calls{
      {"put in a new folder", [&] { target.put(archive.source(), id_of(1), {}); }},
      {"put", [&] { target.put(archive.source(), k_other, {}); }},
      {"point in a new folder",
       [&] {
         target.point({"new", "link", k_build}, {});
       }},
      {"point",
       [&] {
         target.point({"series", "new", k_build}, {});
       }},
      {"unpoint", [&] { target.unpoint(k_wanted, {}); }},
      {"remove", [&] { target.remove(k_build, {}); }},
      {"write a marker", [&] { target.write_marker(k_anothers, {}); }},
      {"probe", [&] { target.probe({}); }}};
  std::vector<std::pair<std::string, std::optional<Error>>> answers;
  for (const auto& [call, work] : calls) answers.emplace_back(call, error_of(work));
  for (const auto& [call, error] : answers) {
    INFO(call);
    CHECK(error);
    if (!error) continue;
    CHECK_THAT(error->full_text(), Contains("target backup"));
    INFO(error->full_text());
    CHECK(std::find(kinds.begin(), kinds.end(), error->kind()) != kinds.end());
  }
}

TEMPLATE_TEST_CASE("a target whose folder is not there is an error, and is not made", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  const auto target = place.target_of_nothing();
  fails(*target, Archive("content"),
        {ErrorKind::target_unreachable, ErrorKind::target_unwritable, ErrorKind::target_refused});
  CHECK(error_of([&] { target->read_marker({}); }));
  CHECK(place.nothing_was_made());
}

TEMPLATE_TEST_CASE("a target that may not be written to is an error of its own, and stays as it was", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  place.write(k_name, "content");
  place.target()->point(k_wanted, {});
  const Archive archive("content");
  const bool tried = place.with_closed([&](Target& target) { fails(target, archive, {ErrorKind::target_unwritable}); });
  if (!tried) return;
  CHECK(place.names() == Names{k_marker, k_name, k_link});
  CHECK(place.content(k_link) == "content");
  CHECK(place.content(k_marker) == k_ours);
}

TEMPLATE_TEST_CASE("a put that is stopped leaves nothing under the name, and can be done again", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive large = Archive::zeros(std::uint64_t{2} << 30U);  // takes longer than the stop
  std::stop_source stop;
  std::optional<Error> error;
  SECTION("before it began") {
    stop.request_stop();
    error = error_of([&] { target->put(large.source(), k_build, stop.get_token()); });
  }
  SECTION("in the middle") {
    bool begun = false;
    {
      const std::jthread stopper([&] {
        begun = test::wait_until([&] { return place.has_begun(k_build); });
        stop.request_stop();
      });
      error = error_of([&] { target->put(large.source(), k_build, stop.get_token()); });
    }
    CHECK(begun);
  }
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK_FALSE(place.content(k_name));
  const Archive archive(random_bytes(100'000));
  CHECK(target->put(archive.source(), k_build, {}) == 100'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_marker, k_name});
}

// Takes all of a file system's space but so many bytes.
void fill_but(off_t left, const fs::path& ballast) {
  const Fd fd(::open(ballast.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  off_t size = 0;
  for (const off_t step : {off_t{16'000'000}, off_t{1'000'000}}) {
    while (::fallocate(fd.get(), 0, size, step) == 0) size += step;
  }
  REQUIRE(size > left);
  REQUIRE(::ftruncate(fd.get(), size - left) == 0);
}

// A bucket has no disk; what a full one answers is in s3_target_test.cpp.
TEMPLATE_TEST_CASE("a full disk there is an error of the target, and nothing has the name", "", LocalPlace, SftpPlace) {
  std::string why_not;
  const auto mount = test::LoopMount::make("ext4", why_not);
  if (!mount) {
    WARN("not tested: " << why_not);
    return;
  }
  const TestType place(mount->path() / "target");
  const fs::path ballast = mount->path() / "ballast";
  fill_but(8'000'000, ballast);
  const auto target = place.target();
  const Archive archive(random_bytes(40'000'000));
  const auto error = error_of([&] { target->put(archive.source(), k_build, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->full_text(), Contains("target backup"));
  CHECK_THAT(error->full_text(), Contains("space"));
  CHECK_FALSE(place.content(k_name));
  fs::remove(ballast);
  CHECK(target->put(archive.source(), k_build, {}) == 40'000'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_marker, k_name});
}

}  // namespace
}  // namespace zipmodule::storage
