#include "base/fd.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule {
namespace {

bool open_now(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST_CASE("a descriptor is closed when its owner goes, and not before") {
  int raw = -1;
  {
    const Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = fd.get();
    REQUIRE(open_now(raw));
  }
  CHECK_FALSE(open_now(raw));
}

TEST_CASE("moving a descriptor leaves one owner, also over an older descriptor") {
  Fd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd second(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int kept = first.get();
  const int replaced = second.get();
  second = std::move(first);
  CHECK(second.get() == kept);
  CHECK(open_now(kept));
  CHECK_FALSE(open_now(replaced));
}

TEST_CASE("a released descriptor stays open") {
  Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int raw = fd.release();
  CHECK_FALSE(fd);
  REQUIRE(open_now(raw));
  ::close(raw);
}

TEST_CASE("reading stops at the end of the file and nowhere else") {
  const test::TempDir dir;
  test::write_file(dir / "ten", "0123456789");
  const Fd fd(::open((dir / "ten").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 16> buffer{};
  CHECK(pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), 0) == 10);
  CHECK(pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), 7) == 3);
  CHECK(std::string(buffer.data(), 3) == "789");
  CHECK(pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), 10) == 0);
  CHECK(pread_full(-1, std::as_writable_bytes(std::span(buffer)), 0) == -1);
}

TEST_CASE("a short write is continued, and its failure told with errno") {
  const test::TempDir dir;
  const Fd fd(::open((dir / "limited").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  const std::string data(100, 'x');
  // The kernel writes up to the limit, and only the write after it fails: that is the short write.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit limited = before;
  limited.rlim_cur = 60;
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const bool written = pwrite_full(fd.get(), std::as_bytes(std::span(data)), 0);
  const int error = errno;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old_handler);
  CHECK_FALSE(written);
  CHECK(error == EFBIG);
  CHECK(pwrite_full(fd.get(), std::as_bytes(std::span(data)), 0));
  CHECK(test::read_file(dir / "limited") == data);
}

TEST_CASE("a directory that is not there is an error that names it") {
  const test::TempDir dir;
  try {
    open_directory((dir / "nowhere").string());
    FAIL("opened what is not there");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find((dir / "nowhere").string()) != std::string::npos);
  }
  CHECK(open_directory(dir.path().string()));
}

TEST_CASE("syncing what can't be synced is an error that names it") {
  CHECK_THROWS_WITH(fsync_or_throw(-1, "the file"), Catch::Matchers::Contains("the file"));
}

TEST_CASE("the limit of open files is raised as far as it may be") {
  CHECK(test::in_child([] {
          rlimit limit{};
          if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < 64) return 1;
          limit.rlim_cur = 32;
          if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
          raise_descriptor_limit();
          rlimit raised{};
          return ::getrlimit(RLIMIT_NOFILE, &raised) == 0 && raised.rlim_cur == limit.rlim_max ? 0 : 3;
        }) == 0);
}

TEST_CASE("a checked close throws what the close reports, and leaves the descriptor to nobody") {
  CHECK_NOTHROW(close_or_throw(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), "/dev/null"));
  try {
    close_or_throw(Fd(1'000'000), "/srv/x");
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::io);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("close /srv/x"));
  }
}

TEST_CASE("standard descriptors that are closed are opened, so that no file becomes one of them") {
  const int exit_code = test::in_child([] {
    ::close(STDIN_FILENO);
    ::close(STDERR_FILENO);
    open_standard_descriptors();
    if (!open_now(STDIN_FILENO) || !open_now(STDOUT_FILENO) || !open_now(STDERR_FILENO)) return 1;
    const Fd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (next.get() <= STDERR_FILENO) return 2;
    return ::write(STDERR_FILENO, "x", 1) == 1 ? 0 : 3;
  });
  CHECK(exit_code == 0);
}

}  // namespace
}  // namespace zipmodule
