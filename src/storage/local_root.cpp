#include "storage/local_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include "base/log.hpp"
#include "storage/file_status.hpp"
#include "storage/walk.hpp"

namespace zipmodule::storage {
namespace {

// From this size on a file is read in several pieces by several threads, which the system takes for random access: it
// reads less ahead, unless it is told. 1.5 GB from a cold cache (128 KiB of readahead) by two threads, six times: median
// 4.1 s, told 2.5 s.
constexpr std::uint64_t k_sequential_from = std::uint64_t{2} << 20U;

}  // namespace

std::size_t LocalFile::read_at(std::uint64_t offset, std::span<std::byte> buffer) {
  const auto n = pread_full(fd_.get(), buffer, offset);
  if (n < 0) throw source_error(errno, name());
  return static_cast<std::size_t>(n);
}

bool LocalFile::in_memory() const noexcept {
  char first = 0;
  const iovec into{&first, 1};
  return ::preadv2(fd_.get(), &into, 1, 0, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

void LocalFile::ask_for() const noexcept { ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_WILLNEED); }

void LocalFile::require_unchanged() {
  struct stat now {};
  if (::fstat(fd_.get(), &now) != 0) throw source_error(errno, name());
  if (to_status(now) != status_) throw changed(name());
}

bool LocalFile::settled() const {
  // Times move in steps of the kernel's clock tick, at most 10 ms.
  constexpr std::int64_t k_settled_ns = 100'000'000;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return status_.ctime_ns < now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec - k_settled_ns;
}

LocalRoot::LocalRoot(std::string name, const std::filesystem::path& folder, const std::filesystem::path& store)
    : Root(std::move(name)), folder_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!folder_) {
    throw Error(ErrorKind::config,
                fmt::format("content root {} at {}: {}", this->name(), folder.string(), errno_text(errno)),
                fmt::format("mount or create it, or change content.roots.{}", this->name()));
  }
  std::error_code unresolved;
  store_ = std::filesystem::canonical(store, unresolved);
  if (unresolved) store_.clear();
  confinement_ = probe_confinement(folder_.get());
  if (confinement_ == Confinement::components) {
    log::debug(
        "content root {}: this kernel or sandbox has no openat2: paths are opened step by step, without symlinks",
        this->name());
  }
}

Fd LocalRoot::open_path(const std::string& path, int flags) const {
  Fd fd(open_beneath(folder_.get(), path.empty() ? "." : path, flags, confinement_));
  if (!fd) throw source_error(errno, full_name(path));
  return fd;
}

void LocalRoot::require_outside_store(int fd, const std::string& path) const {
  if (store_.empty()) return;
  std::array<char, PATH_MAX> target;
  const auto n = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  if (n < 0) return;  // without /proc only the configuration keeps store and roots apart
  const std::string_view real(target.data(), static_cast<std::size_t>(n));
  const std::string& store = store_.native();
  if (real == store || (real.starts_with(store) && real[store.size()] == '/')) {
    throw Error(ErrorKind::source_outside, fmt::format("source {} lies in the archive store", full_name(path)),
                "archives are never sources; list the content itself");
  }
}

FileStatus LocalRoot::status(const std::string& path, const std::stop_token& /*stop*/) const {
  const Fd fd = open_path(path, O_PATH);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) throw source_error(errno, full_name(path));
  require_outside_store(fd.get(), path);
  const FileStatus status = to_status(s);
  if (status.type == FileType::other || status.type == FileType::symlink) throw wrong_type(full_name(path));
  return status;
}

std::unique_ptr<LocalFile> LocalRoot::open(const std::string& path) const {
  // O_NONBLOCK: a FIFO put in the file's place must not hold the build; it has no effect on regular files.
  Fd fd = open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) throw source_error(errno, full_name(path));
  require_outside_store(fd.get(), path);
  const FileStatus status = to_status(s);
  if (status.type != FileType::regular) throw wrong_type(full_name(path));
  if (status.size_bytes >= k_sequential_from) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<LocalFile>(std::move(fd), status, full_name(path));
}

std::unique_ptr<File> LocalRoot::open(const std::string& path, const FileStatus& listed,
                                      const std::stop_token& /*stop*/) const {
  auto file = open(path);
  if (!same_version(file->status(), listed)) {
    throw Error(ErrorKind::source_changed, fmt::format("source {} changed after it was listed", file->name()),
                "publish when its writer is finished");
  }
  return file;
}

void LocalRoot::walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                     Visitor& visitor) const {
  WalkContext context{*this, path, limits, stop};
  Walk(context, visitor).run();
}

}  // namespace zipmodule::storage
