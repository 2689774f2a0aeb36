#include "base/error.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace zipmodule {
namespace {

// In the order of ErrorKind. Exit codes are sysexits where one fits; 1 is 'the work itself failed'.
// Disk trouble does not count attempts: the operator mends it, and the job is as good as before.
constexpr auto k_traits = std::to_array<ErrorTraits>({
    {ErrorKind::usage, "usage", 64, false, true},
    {ErrorKind::config, "config", 78, false, true},
    {ErrorKind::database, "database", 69, true, false},
    {ErrorKind::database_setup, "database_setup", 78, false, false},
    {ErrorKind::schema_version, "schema_version", 78, false, false},
    {ErrorKind::lock_held, "lock_held", 75, true, false},
    {ErrorKind::root_away, "root_away", 1, true, false},
    {ErrorKind::source_missing, "source_missing", 1, true, true},
    {ErrorKind::source_unreadable, "source_unreadable", 1, true, true},
    {ErrorKind::source_type, "source_type", 1, false, true},
    {ErrorKind::source_outside, "source_outside", 1, false, true},
    {ErrorKind::source_changed, "source_changed", 1, true, true},
    {ErrorKind::source_unreachable, "source_unreachable", 1, true, false},
    {ErrorKind::source_refused, "source_refused", 1, true, false},
    {ErrorKind::target_unreachable, "target_unreachable", 1, true, false},
    {ErrorKind::target_refused, "target_refused", 1, true, false},
    {ErrorKind::target_unwritable, "target_unwritable", 1, true, false},
    {ErrorKind::source_name, "source_name", 1, false, true},
    {ErrorKind::name_conflict, "name_conflict", 1, false, true},
    {ErrorKind::limit, "limit", 1, false, true},
    {ErrorKind::empty, "empty", 1, false, true},
    {ErrorKind::payload, "payload", 1, false, true},
    {ErrorKind::disk_full, "disk_full", 73, true, false},
    {ErrorKind::disk_reserve, "disk_reserve", 73, true, false},
    {ErrorKind::store_unwritable, "store_unwritable", 73, true, false},
    {ErrorKind::io, "io", 74, true, true},
    {ErrorKind::open_files, "open_files", 74, true, false},
    {ErrorKind::threads, "threads", 74, true, false},
    {ErrorKind::verify, "verify", 74, true, true},
    {ErrorKind::corrupt, "corrupt", 1, false, true},
    {ErrorKind::lease_lost, "lease_lost", 1, true, false},
    {ErrorKind::cancelled, "cancelled", 1, false, false},
    {ErrorKind::stopped, "stopped", 1, true, false},
    {ErrorKind::internal, "internal", 70, true, true},
});

constexpr bool in_order() {
  for (std::size_t i = 0; i < k_traits.size(); ++i) {
    if (static_cast<std::size_t>(k_traits[i].kind) != i) return false;
  }
  return true;
}
static_assert(in_order(), "k_traits is indexed by ErrorKind");

}  // namespace

const ErrorTraits& traits_of(ErrorKind kind) noexcept { return k_traits[static_cast<std::size_t>(kind)]; }

std::optional<ErrorKind> error_kind_from_code(std::string_view code) noexcept {
  for (const auto& traits : k_traits) {
    if (traits.code == code) return traits.kind;
  }
  return std::nullopt;
}

std::string Error::full_text() const { return hint_.empty() ? what() : fmt::format("{} ({})", what(), hint_); }

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

std::optional<Error> descriptors_error(int error_number, const std::string& doing) {
  if (error_number != EMFILE && error_number != ENFILE) return std::nullopt;
  return Error(ErrorKind::open_files, fmt::format("{}: {}", doing, errno_text(error_number)),
               error_number == EMFILE ? "raise the limit of open files (ulimit -Hn, systemd's LimitNOFILE) or lower "
                                        "run.memory or run.workers"
                                      : "raise the host's fs.file-max, or end what holds so many files open");
}

Error store_error(int error_number, const std::string& doing) {
  if (auto error = descriptors_error(error_number, doing)) return *error;
  const std::string message = fmt::format("{}: {}", doing, errno_text(error_number));
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return {ErrorKind::disk_full, message, "free space in the archive store, or raise archives.min_free"};
    case EROFS:
      return {
          ErrorKind::store_unwritable, message,
          "the file system is mounted read-only, or the systemd unit makes it so: remount it, or name the folder in "
          "ReadWritePaths="};
    case EACCES:
    case EPERM:
      return {ErrorKind::store_unwritable, message, "make archives.root writable for the user that runs zipmodule"};
    case EFBIG:
      return {ErrorKind::io, message,
              "raise the limit of file sizes (ulimit -f, systemd's LimitFSIZE), or use a file system that holds such "
              "files"};
    default:
      return {ErrorKind::io, message};
  }
}

}  // namespace zipmodule
