// Catch2 v2 declares its listeners only on request.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "support/temp_dir.hpp"
#include "support/paths.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>

#include "base/error.hpp"
#include "support/catch.hpp"

namespace zipmodule::test {
namespace {

std::atomic<bool> assertion_failed{false};

#if __has_include(<catch2/catch_all.hpp>)
class FailureListener : public Catch::EventListenerBase {
 public:
  using EventListenerBase::EventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo&) override { assertion_failed = false; }
  void assertionEnded(const Catch::AssertionStats& stats) override {
    if (!stats.assertionResult.isOk()) assertion_failed = true;
  }
};
#else
class FailureListener : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo&) override { assertion_failed = false; }
  bool assertionEnded(const Catch::AssertionStats& stats) override {
    if (!stats.assertionResult.isOk()) assertion_failed = true;
    return false;
  }
};
#endif

}  // namespace

CATCH_REGISTER_LISTENER(FailureListener)

bool test_failed() noexcept { return assertion_failed || std::uncaught_exceptions() > 0; }

namespace {

std::filesystem::path evidence() {
  const char* chosen = std::getenv("ZIPMODULE_EVIDENCE");
  return chosen != nullptr ? chosen : build_path("evidence");
}

}  // namespace

TempDir::TempDir(std::string_view purpose) : TempDir(purpose, evidence()) {}

TempDir::TempDir(std::string_view purpose, const std::filesystem::path& parent) {
  std::filesystem::create_directories(parent);
  std::string name = (parent / (std::string(purpose) + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name + ": " + errno_text(errno));
  path_ = name;
}

TempDir::~TempDir() {
  if (test_failed()) {
    std::cerr << "evidence kept: " << path_.string() << '\n';
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  if (!ignored) return;
  // A test took away its own rights, as tests of unreadable sources do.
  for (std::filesystem::recursive_directory_iterator it(path_, ignored), end; it != end; it.increment(ignored)) {
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) {
      std::filesystem::permissions(it->path(), std::filesystem::perms::owner_all, ignored);
    }
  }
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace zipmodule::test
