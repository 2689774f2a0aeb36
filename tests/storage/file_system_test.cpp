#include "storage/file_system.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <set>
#include <string>

#include "base/fd.hpp"
#include "storage/local_root.hpp"
#include "support/catch.hpp"
#include "support/mounted.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using test::Mounted;
using test::write_file;

constexpr std::int64_t k_second = 1'000'000'000;

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * k_second + now.tv_nsec;
}

std::set<std::string> names_of(const Root& root) {
  class Names final : public Visitor {
   public:
    void found(const std::string& path, const FileStatus&) override { all.insert(path); }
    void problem(const std::string& path, const Error&) override { all.insert("? " + path); }
    std::set<std::string> all;
  } names;
  root.walk("", {}, {}, names);
  return names.all;
}

TEST_CASE("a network file system's host is asked, whatever this one remembers") {
  const test::TempDir dir;
  write_file(dir / "there/file", "content", 1'600'000'000);
  fs::create_directory(dir / "there/folder");
  std::string why_not;
  const auto mount = Mounted::remembered(dir / "there", dir / "here", why_not);
  if (!mount) {
    WARN("not tested: " << why_not);
    return;
  }
  const LocalRoot before("media", dir / "here", "");
  CHECK(names_of(before) == std::set<std::string>{"file", "folder"});
  const FileStatus listed = before.status("file");
  CHECK_THROWS_AS(before.status("late"), Error);
  CHECK_THROWS_AS(before.status("folder/late"), Error);
  write_file(dir / "there/file", "CONTENT", 1'600'000'001);
  write_file(dir / "there/late", "late");
  write_file(dir / "there/folder/late", "late");
  const LocalRoot after("media", dir / "here", "");
  CHECK_FALSE(after.status("file").version == listed.version);
  // That a name was missing is remembered by the system until its own time is over. It is reported until then, never left out.
  for (const std::string name : {"late", "folder/late"}) {
    const auto names = names_of(after);
    CHECK((names.contains(name) || names.contains("? " + name)));
  }
  CHECK_THROWS_AS(after.open("file", listed, {}), Error);
}

TEST_CASE("what was changed within this tick of the clock is past a tick later, and in the future it never is") {
  CHECK(is_past(FileSystem::disk, now_ns() + 1));
  CHECK(is_past(FileSystem::disk, now_ns() - k_second - 1));
  CHECK_FALSE(is_past(FileSystem::disk, now_ns() + 3'600 * k_second + 1));
  // Times in whole seconds may be those of an old format.
  CHECK_FALSE(is_past(FileSystem::disk, now_ns() / k_second * k_second));
  CHECK(is_past(FileSystem::disk, (now_ns() / k_second - 4) * k_second));
  CHECK_FALSE(is_past(FileSystem::network, now_ns() - k_second));
  CHECK(is_past(FileSystem::network, now_ns() - 4 * k_second));
  CHECK_FALSE(is_past(FileSystem::memory, 0));
  CHECK_FALSE(is_past(FileSystem::image, 0));
}

TEST_CASE("file systems are known by what the kernel calls them") {
  const Fd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(file_system_of(proc.get()) == FileSystem::memory);
  const test::TempDir dir;
  std::string why_not;
  const auto mount = Mounted::tmpfs(dir / "memory", why_not);
  if (!mount) {
    WARN("tmpfs was not tested: " << why_not);
    return;
  }
  const Fd memory(::open((dir / "memory").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(file_system_of(memory.get()) == FileSystem::memory);
}

}  // namespace
}  // namespace zipmodule::storage
