#include "storage/walk_frame.hpp"

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/error.hpp"
#include "storage/local_root.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/temp_dir.hpp"

namespace zipmodule::storage {
namespace {

using Catch::Matchers::Contains;
using test::error_of;

class Nobody final : public Visitor {
 public:
  void found(const std::string& /*path*/, const FileStatus& /*status*/) override { ++found_; }
  void problem(const std::string& /*path*/, const Error& /*error*/) override {}
  int found_ = 0;
};

struct Walked {
  explicit Walked(const WalkLimits& limits) : frame(root, "folder", limits, stop.get_token(), nobody) {}

  test::TempDir dir{"frame"};
  LocalRoot root{"media", dir.path(), ""};
  std::stop_source stop;
  Nobody nobody;
  WalkFrame frame;
};

std::string limit_of(const std::function<void()>& work) {
  const auto error = error_of(work);
  return error && error->kind() == ErrorKind::limit ? error->full_text() : "no limit";
}

TEST_CASE("names that a walk holds are bounded by their number and by their bytes") {
  WalkLimits limits;
  limits.max_names = 1'000'000;
  Walked walked(limits);
  constexpr std::uint64_t k_bytes = 128'000'000;
  walked.frame.hold("a", 1'000'000, k_bytes);
  walked.frame.release(1'000'000, k_bytes);
  CHECK_THAT(limit_of([&] { walked.frame.hold("a", 1'000'001, 0); }),
             Contains("source media:folder/a: more than 1000000 entries"));
  walked.frame.release(1'000'001, 0);
  CHECK_THAT(limit_of([&] { walked.frame.hold("a", 1, k_bytes + 1); }),
             Contains("source media:folder/a: names of more than 128000000 bytes") && Contains("limits.max_entries"));
}

TEST_CASE("with a low limit of entries, names may have 64 MiB all the same") {
  WalkLimits limits;
  limits.max_names = 10;
  Walked walked(limits);
  walked.frame.hold("", 10, std::uint64_t{64} << 20U);
  CHECK_THAT(limit_of([&] { walked.frame.hold("", 0, 1); }), Contains("67108864 bytes"));
}

TEST_CASE("paths that a walk finds are bounded by their bytes") {
  WalkLimits limits;
  limits.max_names = 10;
  Walked walked(limits);
  const std::string path(std::size_t{1} << 20U, 'x');
  for (int i = 0; i < 64; ++i) walked.frame.found(path, {});
  CHECK_THAT(limit_of([&] { walked.frame.found(path, {}); }), Contains("paths of more than 67108864 bytes"));
  CHECK(walked.nobody.found_ == 64);
}

TEST_CASE("a walk is in each folder once, and no deeper than allowed") {
  WalkLimits limits;
  limits.max_depth = 2;
  Walked walked(limits);
  walked.frame.enter("", {1, 1});
  const auto circle = error_of([&] { walked.frame.enter("up", {1, 1}); });
  REQUIRE(circle);
  CHECK(circle->kind() == ErrorKind::source_unreadable);
  CHECK_THAT(circle->full_text(), Contains("source media:folder/up is a symlink to a folder that contains it"));
  walked.frame.enter("a", {1, 2});
  CHECK_THAT(limit_of([&] { walked.frame.enter("a/b", {1, 3}); }), Contains("media:folder/a/b is more than 2 folders"));
  walked.frame.leave();
  walked.frame.enter("b", {1, 2});
}

}  // namespace
}  // namespace zipmodule::storage
