#include "archive/audit.hpp"

#include <string>

#include "archive/failing_read.hpp"
#include "archive/site.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

struct Built {
  Built() {
    site.file("default/a.txt", test::wordy_text(5'000));
    const auto build = site.build(R"([{"source": "a.txt"}])");
    expected = {build.file, build.fingerprint};
    path = site.store().absolute(build.file.build_id);
  }
  AuditResult audit(bool deep = false) { return audit_build(site.store(), expected, deep, site.pool(), {}); }

  // Keeps size and time.
  void flip_a_byte(std::size_t at) const {
    std::string bytes = test::read_file(path);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    test::write_file(path, bytes);
  }

  TestSite site;
  ExpectedBuild expected;
  fs::path path;
};

TEST_CASE("a build that is as it was published is good") {
  Built built;
  CHECK(built.audit().good);
  CHECK_FALSE(built.audit().new_mtime_ns);
  CHECK(built.audit(true).good);
}

TEST_CASE("a build that is gone, cut or grown is not good, and says so") {
  Built built;
  fs::resize_file(built.path, built.expected.file.size_bytes - 1);
  CHECK_THAT(built.audit().problem, Contains("bytes any more"));
  fs::resize_file(built.path, built.expected.file.size_bytes + 1);
  CHECK_FALSE(built.audit().good);
  fs::remove(built.path);
  CHECK_THAT(built.audit().problem, Contains("is gone"));
  fs::create_symlink("/etc/passwd", built.path);
  CHECK_FALSE(built.audit().good);
}

TEST_CASE("a touched build that is whole is good, with its new time") {
  Built built;
  test::set_mtime(built.path, 1'234'567'890, 5);
  const auto result = built.audit();
  CHECK(result.good);
  CHECK(result.new_mtime_ns == 1'234'567'890'000'000'005);
}

TEST_CASE("a touched build with one other byte is not good") {
  const std::size_t at = GENERATE(0U, 14U, 100U);
  Built built;
  built.flip_a_byte(at);
  const auto result = built.audit();
  CHECK_FALSE(result.good);
  CHECK_FALSE(result.problem.empty());
}

TEST_CASE("another sound archive in a build's place is found by its fingerprint") {
  Built built;
  built.site.file("default/a.txt", test::wordy_text(5'000));
  test::set_mtime(built.site.dir / "default/a.txt", k_file_time + 2);
  const auto other = built.site.build(R"([{"source": "a.txt"}])");
  REQUIRE(other.file.size_bytes == built.expected.file.size_bytes);
  fs::rename(built.site.store().absolute(other.file.build_id), built.path);
  test::set_mtime(built.path, 1);
  CHECK_THAT(built.audit().problem, Contains("another archive"));
}

TEST_CASE("a touched build that can't be read is not damaged: the disk may come back") {
  Built built;
  test::set_mtime(built.path, 1'234'567'890);
  const std::uint64_t size = built.expected.file.size_bytes;
  const std::uint64_t from = GENERATE_COPY(std::uint64_t{0}, size / 2, size - 22);
  CAPTURE(from);
  const test::FailingReads broken_disk(built.path, from);
  CHECK(error_of([&] { built.audit(); }).kind() == ErrorKind::io);
}

TEST_CASE("a stop ends an audit, and is no finding") {
  Built built;
  std::stop_source stop;
  stop.request_stop();
  const Error error =
      error_of([&] { audit_build(built.site.store(), built.expected, true, built.site.pool(), stop.get_token()); });
  CHECK(error.kind() == ErrorKind::stopped);
}

}  // namespace
}  // namespace zipmodule::archive
