// Where finished archives are delivered: the only way to write anywhere else than into the archive store.
//
// One interface for all places:
//   LocalTarget   a second folder of this host   (local_target.hpp)
//   SftpTarget    a folder of another host       (sftp_target.hpp)
//   S3Target      a bucket                       (s3_target.hpp)
//
// A target is laid out as the archive store is: builds/ab/abcdef....zip never changes once it is there, and
// public/<series>/<archive>.zip leads to one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace zipmodule::storage {

// A finished file of this host. It is not changed while it is read.
struct LocalSource {
  int fd = -1;  // not owned
  std::uint64_t size_bytes = 0;
};

// Reads all of `buffer` from there. Throws Error{io}, and Error{corrupt} where the file has become shorter.
void read_archive(const LocalSource& file, std::uint64_t offset, std::span<std::byte> buffer);

// Thread-safe after construction. Paths are relative to the target, without a leading '/', '.' or '..' component.
// Calls that wait for another host throw Error{stopped} when `stop` is requested. Errors name "target NAME":
//   target_unreachable   its host does not answer             target_refused   its host, or we, refuse to talk
//   target_unwritable    no right to write there, no space    verify           what is there is not what was sent
//   io                   the local file can't be read      corrupt           it is shorter than told
class Target {
 public:
  explicit Target(std::string name) : name_(std::move(name)) {}
  virtual ~Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  const std::string& name() const noexcept { return name_; }

  // How many calls are worth making at once.
  virtual unsigned parallel() const noexcept = 0;

  // Makes `path` a copy of the file: it is seen under its name when it is whole, safely there and found right, as far as the
  // other side can tell, and never before. What an earlier call left half done is done anew. Returns the bytes sent: 0 where
  // a file of that size was there already, which is left as it is.
  virtual std::uint64_t put(const LocalSource& file, const std::string& path, const std::stop_token& stop) = 0;

  // Has `link` lead to `path`, in one step where the place has one for it.
  virtual void point(const std::string& link, const std::string& path, const std::stop_token& stop) = 0;

  // Takes `link` away if it leads to `path`; returns whether it did.
  virtual bool unpoint(const std::string& link, const std::string& path, const std::stop_token& stop) = 0;

  // Removes a file and what an upload that did not end left of it. No error where there is nothing.
  virtual void remove(const std::string& path, const std::stop_token& stop) = 0;

  struct Condition {
    std::optional<std::uint64_t> free_bytes;    // nullopt: the place does not tell
    std::optional<double> clock_ahead_seconds;  // of the other side's clock to ours; nullopt: it does not matter
  };
  // Reaches it, logs in, lists, and writes and removes a small file.
  virtual Condition probe(const std::stop_token& stop) = 0;

 private:
  const std::string name_;
};

}  // namespace zipmodule::storage
