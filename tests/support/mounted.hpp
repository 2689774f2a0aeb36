// A mount for one test, in a mount namespace of its own: seen by the calling thread and those that it starts from then on.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace zipmodule::test {

// Needs root. Unmounted at the end.
class Mounted {
 public:
  // nullptr, with the reason in `why_not`, where this machine can't. `on` is made where it is not there.
  static std::unique_ptr<Mounted> tmpfs(const std::filesystem::path& on, std::string& why_not);
  // What is at `from` is at `on`, too.
  static std::unique_ptr<Mounted> bind(const std::filesystem::path& from, const std::filesystem::path& on,
                                       std::string& why_not);
  // The same through a program, which has the host keep what it said of files, and of names that are not there, for a minute.
  static std::unique_ptr<Mounted> remembered(const std::filesystem::path& from, const std::filesystem::path& on,
                                             std::string& why_not);
  ~Mounted();
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

 private:
  explicit Mounted(std::filesystem::path on) : on_(std::move(on)) {}

  const std::filesystem::path on_;
};

}  // namespace zipmodule::test
