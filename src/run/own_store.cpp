#include "run/own_store.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "tree/marker.hpp"

namespace zipmodule::run {

void require_own_store(const std::filesystem::path& root) {
  struct stat s {};
  const bool has_marker = ::stat((root / tree::k_store_marker).c_str(), &s) == 0;
  if (!has_marker && (::geteuid() != 0 || ::stat(root.c_str(), &s) != 0)) return;
  if (s.st_uid == ::geteuid()) return;
  throw Error(ErrorKind::store_unwritable,
              fmt::format("{} belongs to user {}, and this is user {}", root.string(), s.st_uid, ::geteuid()),
              fmt::format("run it as that user: sudo -u '#{}' zipmodule ...", s.st_uid));
}

}  // namespace zipmodule::run
