#include "support/mounted.hpp"

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <system_error>

#include "support/process.hpp"

namespace zipmodule::test {
namespace {

// The host does not see what is mounted after that.
bool has_namespace(std::string& why_not) {
  static const int problem = [] {
    if (::unshare(CLONE_NEWNS) != 0) return errno;
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? 0 : errno;
  }();
  if (problem != 0) why_not = "a mount namespace: " + std::generic_category().message(problem);
  return problem == 0;
}

bool mount(const char* from, const std::filesystem::path& on, const char* type, unsigned long flags,
           std::string& why_not) {
  std::filesystem::create_directories(on);
  if (!has_namespace(why_not)) return false;
  if (::mount(from, on.c_str(), type, flags, nullptr) == 0) return true;
  why_not = "mount: " + std::generic_category().message(errno);
  return false;
}

}  // namespace

std::unique_ptr<Mounted> Mounted::tmpfs(const std::filesystem::path& on, std::string& why_not) {
  if (!mount("tmpfs", on, "tmpfs", 0, why_not)) return nullptr;
  return std::unique_ptr<Mounted>(new Mounted(on));
}

std::unique_ptr<Mounted> Mounted::bind(const std::filesystem::path& from, const std::filesystem::path& on,
                                       std::string& why_not) {
  if (!mount(from.c_str(), on, nullptr, MS_BIND, why_not)) return nullptr;
  return std::unique_ptr<Mounted>(new Mounted(on));
}

std::unique_ptr<Mounted> Mounted::remembered(const std::filesystem::path& from, const std::filesystem::path& on,
                                             std::string& why_not) {
  std::filesystem::create_directories(on);
  if (!has_namespace(why_not)) return nullptr;
  if (!installed("bindfs")) {
    why_not = "bindfs is not installed";
    return nullptr;
  }
  const Result mounted = run({"bindfs", "-o", "attr_timeout=60,entry_timeout=60,negative_timeout=60", from, on});
  if (mounted.exit_code == 0) return std::unique_ptr<Mounted>(new Mounted(on));
  why_not = "bindfs: " + mounted.text();
  return nullptr;
}

Mounted::~Mounted() { ::umount2(on_.c_str(), MNT_DETACH); }

}  // namespace zipmodule::test
