#include "base/file_lock.hpp"

#include <unistd.h>

#include <csignal>
#include <regex>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule {
namespace {

using test::in_child;

int try_lock(const std::filesystem::path& path) { return FileLock::try_acquire(path) ? 0 : 75; }

TEST_CASE("a second process does not get a lock that is held, and gets it once it is free") {
  const test::TempDir dir;
  {
    const auto lock = FileLock::try_acquire(dir / "lock");
    REQUIRE(lock);
    CHECK(in_child([&] { return try_lock(dir / "lock"); }) == 75);
  }
  CHECK(in_child([&] { return try_lock(dir / "lock"); }) == 0);
}

TEST_CASE("a second attempt within one process does not get it either") {
  const test::TempDir dir;
  const auto lock = FileLock::try_acquire(dir / "lock");
  CHECK_FALSE(FileLock::try_acquire(dir / "lock"));
}

TEST_CASE("a lock that was moved is still held, and once") {
  const test::TempDir dir;
  auto lock = FileLock::try_acquire(dir / "lock");
  {
    const FileLock moved = std::move(*lock);
    lock.reset();
    CHECK(in_child([&] { return try_lock(dir / "lock"); }) == 75);
  }
  CHECK(in_child([&] { return try_lock(dir / "lock"); }) == 0);
}

TEST_CASE("the lock of a killed process is free at once") {
  const test::TempDir dir;
  const auto killed = in_child([&]() -> int {
    const auto lock = FileLock::try_acquire(dir / "lock");
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  CHECK(killed == test::k_signalled + SIGKILL);
  CHECK(FileLock::try_acquire(dir / "lock"));
}

TEST_CASE("a program started under the lock does not keep it") {
  const test::TempDir dir;
  auto lock = FileLock::try_acquire(dir / "lock");
  REQUIRE(lock);
  test::Command sleeper;
  sleeper.argv = {"sleep", "600"};
  const test::Process child(sleeper);
  lock.reset();
  REQUIRE(test::wait_until([&] { return FileLock::try_acquire(dir / "lock").has_value(); }));
  CHECK(child.running());
}

TEST_CASE("the holder is named by process and start, also after a longer note") {
  const test::TempDir dir;
  test::write_file(dir / "lock", std::string(200, 'x') + "\n");
  const auto lock = FileLock::try_acquire(dir / "lock");
  REQUIRE(lock);
  const std::regex shape("pid " + std::to_string(::getpid()) + R"( since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)");
  CHECK(std::regex_match(FileLock::holder(dir / "lock"), shape));
  CHECK(test::read_file(dir / "lock").find('x') == std::string::npos);
}

TEST_CASE("an unreadable note names an unknown process") {
  const test::TempDir dir;
  CHECK(FileLock::holder(dir / "nowhere") == "an unknown process");
  test::write_file(dir / "empty", "");
  CHECK(FileLock::holder(dir / "empty") == "an unknown process");
}

TEST_CASE("a lock file that can't be opened is a configuration error that names it") {
  const test::TempDir dir;
  try {
    (void)FileLock::try_acquire(dir / "no folder" / "lock");
    FAIL("locked what is not there");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(error.full_text().find((dir / "no folder" / "lock").string()) != std::string::npos);
    CHECK(error.full_text().find("run.lock_file") != std::string::npos);
  }
}

TEST_CASE("a probe tells what a run would find, and creates and writes nothing") {
  const test::TempDir dir;
  CHECK(FileLock::probe(dir / "lock") == FileLock::State::absent);
  CHECK(test::listing(dir / "").empty());
  test::write_file(dir / "lock", "a note");
  CHECK(FileLock::probe(dir / "lock") == FileLock::State::free);
  CHECK(test::read_file(dir / "lock") == "a note");
  const auto lock = FileLock::try_acquire(dir / "lock");
  REQUIRE(lock);
  CHECK(FileLock::probe(dir / "lock") == FileLock::State::held);
  CHECK_THROWS_AS(FileLock::probe(dir / "no folder" / "lock"), Error);
}

TEST_CASE("a symlink in the lock file's place is refused") {
  const test::TempDir dir;
  test::write_file(dir / "victim", "precious");
  std::filesystem::create_symlink(dir / "victim", dir / "lock");
  CHECK_THROWS_AS(FileLock::try_acquire(dir / "lock"), Error);
  CHECK(test::read_file(dir / "victim") == "precious");
}

}  // namespace
}  // namespace zipmodule
