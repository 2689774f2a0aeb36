// The lock that keeps two runs of one host apart.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/fd.hpp"

namespace zipmodule {

// Holds flock(LOCK_EX) on a file, readable by its owner alone, for as long as it lives. The descriptor is O_CLOEXEC and
// stays open; the file is never unlinked (another process may already have it open). The kernel drops the lock when the
// process dies, however it dies.
class FileLock {
 public:
  // Takes the lock without waiting. Returns nullopt when another process holds it. Writes this process's id and start
  // time into the file, for the other's message. Throws Error{config} when the file can't be opened or written.
  static std::optional<FileLock> try_acquire(const std::filesystem::path& path);

  // What try_acquire would find, without creating, writing or keeping anything. Throws Error{config} where this user
  // could neither open nor create the file.
  enum class State { absent, free, held };
  static State probe(const std::filesystem::path& path);

  // Who holds it, as noted inside: "pid 123 since 2026-01-02T03:04:05Z". Where the kernel names another process, that
  // one; "an unknown process" where neither can be read.
  static std::string holder(const std::filesystem::path& path);
  // How long ago the note inside was written; nullopt where that can't be read.
  static std::optional<std::chrono::seconds> held_for(const std::filesystem::path& path);

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace zipmodule
