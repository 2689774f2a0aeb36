#include "storage/file_system.hpp"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <thread>

namespace zipmodule::storage {
namespace {

// Of linux/magic.h and the file systems' own sources: linux-libc-dev does not have them all.
constexpr auto k_disks = std::to_array<std::uint32_t>({
    0xEF53,      // ext2, ext3, ext4
    0x58465342,  // XFS
    0x9123683E,  // btrfs
    0xF2F52010,  // F2FS
    0x2FC12FC1,  // ZFS
    0xCA451A4E,  // bcachefs
    0x3153464A,  // JFS
    0x52654973,  // ReiserFS
    0x3434,      // NILFS
    0x4D44,      // FAT
    0x2011BAB0,  // exFAT
    0x7366746E,  // NTFS
    0x482B,      // HFS+
    0x15013346,  // UDF
});
constexpr auto k_memories = std::to_array<std::uint32_t>({
    0x01021994,  // tmpfs
    0x858458F6,  // ramfs
    0x958458F6,  // hugetlbfs
    0x9FA0,      // proc
    0x62656572,  // sysfs
    0x64626720,  // debugfs
    0x74726163,  // tracefs
    0x63677270,  // cgroup2
    0x27E0EB,    // cgroup
});
constexpr auto k_images = std::to_array<std::uint32_t>({
    0x73717368,  // squashfs
    0xE0F5E1E2,  // EROFS
    0x9660,      // ISO 9660
    0x28CD3D45,  // cramfs
    0x7275,      // romfs
});
constexpr std::uint32_t k_overlayfs = 0x794C7630;

constexpr std::int64_t k_ms = 1'000'000;
// The longest that Linux is built with.
constexpr std::int64_t k_tick_ns = 10 * k_ms;

// What a file that is written now gets as its time: the clock at the last tick.
std::int64_t coarse_now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace

FileSystem file_system_of(int fd) noexcept {
  struct statfs s {};
  if (::fstatfs(fd, &s) != 0) return FileSystem::network;
  const auto magic = static_cast<std::uint32_t>(s.f_type);
  const auto among = [magic](const auto& list) { return std::find(list.begin(), list.end(), magic) != list.end(); };
  if (among(k_disks)) return FileSystem::disk;
  if (among(k_memories)) return FileSystem::memory;
  if (among(k_images)) return FileSystem::image;
  return magic == k_overlayfs ? FileSystem::stacked : FileSystem::network;
}

FileSystem FileSystems::of(int fd, dev_t device) const {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(known_.begin(), known_.end(), [&](const auto& one) { return one.first == device; });
  if (found != known_.end()) return found->second;
  return known_.emplace_back(device, file_system_of(fd)).second;
}

int status_at(FileSystem file_system, int directory, const char* name, int flags, struct stat& to) noexcept {
  if (file_system != FileSystem::network) return ::fstatat(directory, name, &to, flags);
  struct statx s {};
  if (::statx(directory, name, flags | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &s) != 0) return -1;
  to.st_mode = s.stx_mode;
  to.st_size = static_cast<off_t>(s.stx_size);
  to.st_mtim = {s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec};
  to.st_ctim = {s.stx_ctime.tv_sec, s.stx_ctime.tv_nsec};
  to.st_ino = s.stx_ino;
  to.st_dev = makedev(s.stx_dev_major, s.stx_dev_minor);
  return 0;
}

bool is_past(FileSystem file_system, std::int64_t changed_ns) noexcept {
  if (file_system == FileSystem::memory || file_system == FileSystem::image) return false;
  // Another host has another clock. Old disk formats know whole seconds, FAT every other one, exFAT steps of 10 ms: a
  // time that could be theirs has to be older.
  constexpr std::int64_t k_coarse_ns = 2'000 * k_ms;
  constexpr std::int64_t k_coarse_step_ns = 10 * k_ms;
  if (file_system == FileSystem::network || changed_ns % k_coarse_step_ns == 0) {
    return changed_ns < coarse_now_ns() - k_coarse_ns;
  }
  std::int64_t now = coarse_now_ns();
  while (now <= changed_ns && changed_ns - now <= k_tick_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    now = coarse_now_ns();
  }
  return changed_ns < now;
}

bool write_back(FileSystem file_system, int fd) noexcept {
  if (file_system != FileSystem::stacked) {
    // Without the wait, a page is left out that was changed again while it is on its way to the disk.
    return ::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE) == 0;
  }
  // Few calls reach the file below. This one asks where its first byte lies, and writes the file back before; tmpfs
  // does not know it.
  struct fiemap map {};
  map.fm_length = 1;
  map.fm_flags = FIEMAP_FLAG_SYNC;
  return ::ioctl(fd, FS_IOC_FIEMAP, &map) == 0;
}

}  // namespace zipmodule::storage
