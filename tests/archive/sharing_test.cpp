#include <fmt/format.h>

#include <string>

#include "archive/site.hpp"
#include "storage/local_root.hpp"
#include "support/judges.hpp"
#include "support/loop_mount.hpp"
#include "support/process.hpp"
#include "zip/codec.hpp"
#include "zip/memory_archive.hpp"
#include "zip/output.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

const std::string k_album = R"([{"source": "album"}])";
constexpr std::uint64_t k_media_bytes = std::uint64_t{48} << 20U;

// Photos, a movie and text: 48 MiB of media, with sizes that are no multiples of anything.
void make_album(const TestSite& site) {
  site.file("default/album/a.txt", test::wordy_text(50'000));
  for (int i = 0; i < 8; ++i) {
    site.file(fmt::format("default/album/photo-{}.jpg", i),
              test::random_bytes(1'000'001, static_cast<std::uint64_t>(i)));
  }
  site.file("default/album/movie.mp4", test::random_bytes(k_media_bytes - 8'000'008, 99));
  site.file("default/album/z.txt", "short");
}

bool all_settled(const TestSite& site) {
  for (const auto& file : fs::recursive_directory_iterator(site.dir / "default")) {
    const std::string path = fs::relative(file.path(), site.dir / "default").string();
    if (file.is_regular_file() && !site.open("default", path)->settled()) return false;
  }
  return true;
}

void check_archive(const TestSite& site, const FinishedBuild& build) {
  const auto verdict = test::judge(site.store().absolute(build.file.build_id), site.dir / "default");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("on XFS and btrfs media is shared with its source and with the build before, not copied") {
  const std::string type = GENERATE("xfs", "btrfs");
  std::string why_not;
  const auto mount = test::LoopMount::make(type, why_not);
  if (!mount) {
    WARN(type << " was not tested: " << why_not);
    return;
  }
  CAPTURE(type);
  CHECK(zip::shares_blocks(mount->path()));
  TestSite site(mount->path());
  make_album(site);
  REQUIRE(test::wait_until([&] { return all_settled(site); }));
  const std::uint64_t before = mount->used_bytes();
  const auto first = site.build(k_album);
  CHECK(site.measured.write.bytes_shared > k_media_bytes * 99 / 100);
  CHECK(mount->used_bytes() - before < k_media_bytes / 10);
  check_archive(site, first);

  // One photo changes; what follows it lies elsewhere, and is aligned anew.
  site.file("default/album/photo-1.jpg", test::random_bytes(900'000, 77));
  REQUIRE(test::wait_until([&] { return all_settled(site); }));
  const auto second = site.build_after(first.file, k_album);
  CHECK(site.measured.files_reused == 10);
  CHECK(site.measured.write.bytes_shared > k_media_bytes * 97 / 100);
  check_archive(site, second);
  const auto fresh = site.build(k_album);
  CHECK((test::read_file(site.store().absolute(second.file.build_id)) ==
         test::read_file(site.store().absolute(fresh.file.build_id))));

  // What is shared is not changed with its source.
  const std::string bytes = test::read_file(site.store().absolute(second.file.build_id));
  site.file("default/album/movie.mp4", test::random_bytes(k_media_bytes - 8'000'008, 5));
  CHECK((test::read_file(site.store().absolute(second.file.build_id)) == bytes));
}

TEST_CASE("what is shared in a first pass and again in a second is counted once, and no hole stays at the end") {
  std::string why_not;
  const auto mount = test::LoopMount::make("xfs", why_not);
  if (!mount) {
    WARN("xfs was not tested: " << why_not);
    return;
  }
  TestSite site(mount->path());
  constexpr std::size_t k_photo_bytes = 4'000'000;
  site.file("default/album/a.jpg", test::random_bytes(k_photo_bytes));
  // Noise, but where the samples look: it has to be stored in a second pass.
  std::string misleading = test::random_bytes(5 * zip::k_chunk_bytes, 2);
  misleading.replace((misleading.size() - 16'384) / 7, 4'000, 4'000, 'x');
  site.file("default/album/b.bin", misleading);
  REQUIRE(test::wait_until([&] { return all_settled(site); }));
  const auto build = site.build(k_album);
  const std::uint64_t content = k_photo_bytes + misleading.size();
  CHECK(site.measured.write.bytes_shared > k_photo_bytes * 9 / 10);
  CHECK(site.measured.write.bytes_shared <= content);
  CHECK(build.file.size_bytes == site.measured.write.bytes_out);
  CHECK(build.file.size_bytes < content + 20'000);
  check_archive(site, build);
}

TEST_CASE("a source on another file system than the store is copied, aligned for the next build") {
  std::string why_not;
  const auto mount = test::LoopMount::make("xfs", why_not);
  if (!mount) {
    WARN("xfs was not tested: " << why_not);
    return;
  }
  TestSite content;
  make_album(content);
  TestSite site(mount->path());
  fs::rename(site.dir / "default", site.dir / "unused");
  Roots roots;
  roots.emplace("default",
                std::make_shared<storage::LocalRoot>("default", content.dir / "default", site.dir / "store"));
  Store store(site.dir / "store", 0);
  BuilderOptions options;
  const Builder builder(store, roots, options, site.resources());
  BuildProgress progress;
  BuildMeasurements measured;
  const auto first = builder.build({"s/a", k_album}, {}, progress, measured);
  CHECK(measured.write.bytes_shared == 0);
  content.file("default/album/a.txt", "changed");
  measured = {};
  BuildRequest request{"s/a", k_album};
  request.older = first.file;
  const auto second = builder.build(request, {}, progress, measured);
  CHECK(measured.write.bytes_shared > k_media_bytes * 99 / 100);
  const auto verdict = test::judge(store.absolute(second.file.build_id), content.dir / "default");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("where blocks can't be shared nothing is aligned") {
  TestSite site;
  make_album(site);
  BuilderOptions on;
  BuilderOptions off;
  off.align = false;
  BuildProgress progress;
  BuildMeasurements measured;
  const auto a =
      Builder(site.store(), site.roots(), on, site.resources()).build({"s/a", k_album}, {}, progress, measured);
  if (measured.write.bytes_shared > 0) {
    WARN("the build folder's own file system shares blocks");
    return;
  }
  const auto b =
      Builder(site.store(), site.roots(), off, site.resources()).build({"s/a", k_album}, {}, progress, measured);
  CHECK(a.fingerprint == b.fingerprint);
}

}  // namespace
}  // namespace zipmodule::archive
