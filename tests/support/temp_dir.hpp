// A directory for one test, kept where the test failed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace zipmodule::test {

// Made below $ZIPMODULE_EVIDENCE (build/<preset>/evidence by default) with a short random name. Removed by the
// destructor, unless the running test case has failed: then it stays, and its path is printed.
class TempDir {
 public:
  explicit TempDir(std::string_view purpose = "test");
  TempDir(std::string_view purpose, const std::filesystem::path& parent);  // elsewhere, on another file system
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Whether the running test case has failed so far, or is being left by an exception.
bool test_failed() noexcept;

}  // namespace zipmodule::test
