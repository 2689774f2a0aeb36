#include "zip/output.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/memory_archive.hpp"

namespace {
std::atomic<bool> says_end{false};
}  // namespace

// In the place of the C library's: what some network and FUSE file systems answer.
extern "C" ssize_t copy_file_range(int in, off64_t* in_at, int out, off64_t* out_at, size_t bytes, unsigned flags) {
  if (says_end) return 0;
  return ::syscall(SYS_copy_file_range, in, in_at, out, out_at, bytes, flags);
}

namespace zipmodule::zip {
namespace {

TEST_CASE("a file system that copies nothing, though there is data, is read from and written to") {
  const std::string data = test::random_bytes(700'000);
  const MemoryFile from(data);
  const MemoryFile to;
  Output output(to.fd(), "to.zip", false, 0);
  says_end = true;
  const auto copied = output.copy({from.fd(), 0, "from.zip"}, data.size(), 0);
  says_end = false;
  CHECK(copied == data.size());
  CHECK((to.content() == data));
}

TEST_CASE("what ends early is copied as far as it goes") {
  const std::string data = test::random_bytes(700'000);
  const MemoryFile from(data);
  const MemoryFile to;
  Output output(to.fd(), "to.zip", false, 0);
  CHECK(output.copy({from.fd(), 0, "from.zip"}, data.size() + 100'000, 0) == data.size());
  CHECK((to.content() == data));
}

}  // namespace
}  // namespace zipmodule::zip
