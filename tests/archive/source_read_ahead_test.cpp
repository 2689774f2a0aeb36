#include "archive/source_read_ahead.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/site.hpp"

namespace zipmodule::archive {
namespace {

// Two hundred small files that are on the disk, and in memory or not.
struct Files {
  Files() {
    for (std::size_t i = 0; i < k_files; ++i) site.file(fmt::format("default/{:03}", i), std::string(5'000, 'x'));
  }
  // False where the file system keeps them in memory, or doesn't tell.
  bool forget() const {
    if (!tells()) return false;
    for (std::size_t i = 0; i < k_files; ++i) {
      const auto path = site.dir / fmt::format("default/{:03}", i);
      const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      bool forgotten = false;
      // A page that the kernel works with just then stays.
      for (int trial = 0; trial < 100 && !forgotten; ++trial) {
        ::fsync(fd.get());
        ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
        forgotten = !resident(fd.get(), std::filesystem::file_size(path));
      }
      if (!forgotten) return false;
    }
    return true;
  }
  bool tells() const {
    char byte = 0;
    const iovec into{&byte, 1};
    const Fd fd(::open((site.dir / "default/000").c_str(), O_RDONLY | O_CLOEXEC));
    return ::preadv2(fd.get(), &into, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
  }
  // File::in_memory() may make the system read the file; this does not.
  static bool resident(int fd, std::size_t size) {
    if (size == 0) return false;
    const auto unmap = [size](void* pages) { ::munmap(pages, size); };
    const std::unique_ptr<void, decltype(unmap)> pages(::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0), unmap);
    std::array<unsigned char, 2> flags{};
    REQUIRE(::mincore(pages.get(), size, flags.data()) == 0);
    return ((flags[0] | flags[1]) & 1U) != 0;
  }
  std::unique_ptr<storage::LocalFile> open(std::size_t index) const {
    return site.open("default", fmt::format("{:03}", index));
  }

  // Tells of the first source, as `index`, until it is found not to be in memory: a quick disk brings it while that is asked.
  // Returns what reads ahead then.
  std::unique_ptr<SourceReadAhead> begin(std::size_t index, std::size_t size, const SourceReadAhead::Open& look) const {
    for (int trial = 0; trial < 100; ++trial) {
      REQUIRE(forget());
      auto ahead = std::make_unique<SourceReadAhead>(look);
      ahead->opened(index, *open(0), size);
      if (ahead->asked_for() > 0) return ahead;
    }
    FAIL("a source that was forgotten is never found missing");
    return nullptr;
  }

  static constexpr std::size_t k_files = 200;
  TestSite site;
};

TEST_CASE("sources that are not in memory are asked for, each once, before they are opened") {
  const Files files;
  if (!files.forget()) {
    WARN("not tested: this file system keeps its files in memory");
    return;
  }
  std::vector<std::size_t> looked_at;
  const auto ahead = files.begin(0, Files::k_files, [&](std::size_t index) {
    if (index == 1) looked_at.clear();
    looked_at.push_back(index);
    return files.open(index);
  });
  for (std::size_t i = 1; i < Files::k_files; ++i) {
    ahead->opened(i, *files.open(i), Files::k_files);
    CHECK((looked_at.empty() || looked_at.back() <= i + 64));
    if (i == 20) CHECK(looked_at.back() == 42);
  }
  CHECK(std::is_sorted(looked_at.begin(), looked_at.end()));
  CHECK(std::adjacent_find(looked_at.begin(), looked_at.end()) == looked_at.end());
  CHECK(looked_at.size() == Files::k_files - 1);
  CHECK(ahead->asked_for() > Files::k_files / 2);
}

TEST_CASE("sources that are in memory are left alone") {
  const Files files;
  std::size_t looked_at = 0;
  SourceReadAhead ahead([&](std::size_t) -> std::unique_ptr<storage::File> {
    ++looked_at;
    return nullptr;
  });
  for (std::size_t i = 0; i < Files::k_files; ++i) {
    const auto file = files.open(i);
    char byte = 0;
    file->read_at(0, std::as_writable_bytes(std::span(&byte, 1)));
    CHECK(file->in_memory());
    ahead.opened(i, *file, Files::k_files);
  }
  CHECK(looked_at == 0);
}

TEST_CASE("where few sources are opened, not many more are asked for") {
  const Files files;
  if (!files.forget()) {
    WARN("not tested: this file system keeps its files in memory");
    return;
  }
  SourceReadAhead ahead([&](std::size_t index) { return files.open(index); });
  for (std::size_t i = 0; i < Files::k_files; i += 40) ahead.opened(i, *files.open(i), Files::k_files);
  CHECK(ahead.asked_for() <= 2 * Files::k_files / 40);
}

TEST_CASE("who begins again from the first source is read ahead again") {
  const Files files;
  if (!files.forget()) {
    WARN("not tested: this file system keeps its files in memory");
    return;
  }
  constexpr std::size_t k_far = 5'000;
  std::vector<std::size_t> looked_at;
  const auto ahead = files.begin(k_far, k_far + Files::k_files, [&](std::size_t index) {
    looked_at.push_back(index);
    return files.open(index % Files::k_files);
  });
  for (std::size_t i = 1; i < 10; ++i) ahead->opened(k_far + i, *files.open(i), k_far + Files::k_files);
  looked_at.clear();
  for (std::size_t i = 0; i < 10; ++i) ahead->opened(i, *files.open(i), k_far + Files::k_files);
  REQUIRE_FALSE(looked_at.empty());
  CHECK(looked_at.front() == 1);
  CHECK(std::is_sorted(looked_at.begin(), looked_at.end()));
}

TEST_CASE("a plan whose sources are not in memory, are gone or are empty is read as any other") {
  const Files files;
  files.site.file("default/050", "");
  const auto plan = files.site.plan(R"([{"source": "default:"}])");
  files.forget();
  std::filesystem::remove(files.site.dir / "default/100");
  for (std::size_t i = 0; i < Files::k_files; ++i) {
    if (i == 100) {
      CHECK(error_of([&] { plan->open(i); }).kind() == ErrorKind::source_missing);
      continue;
    }
    std::string text(6'000, '\0');
    CHECK(plan->open(i)->read_at(0, std::as_writable_bytes(std::span(text))) == (i == 50 ? 0 : 5'000));
  }
}

}  // namespace
}  // namespace zipmodule::archive
