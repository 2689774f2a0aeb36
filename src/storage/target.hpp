// Where finished archives are delivered: the only way to write anywhere else than into the archive store.
//
// One interface for all places:
//   LocalTarget   a second folder of this host   (local_target.hpp)
//   SftpTarget    a folder of another host       (sftp_target.hpp)
//   S3Target      a bucket                       (s3_target.hpp)
//
// A target is laid out as the archive store is (tree/tree.hpp): builds/ab/abcdef....zip never changes once it is there,
// and public/<series>/<archive>.zip leads to one of them. A marker says which target it is (tree/marker.hpp): where it
// is missing or another, a disk is not mounted, or another one is, and nothing is put, pointed or removed there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "tree/tree.hpp"

namespace zipmodule::storage {

// A finished file of this host. It is not changed while it is read.
struct LocalSource {
  int fd = -1;  // not owned
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // copies bear it, where the place keeps times
};

// Reads all of `buffer` from there. Throws Error{io}, and Error{corrupt} where the file has become shorter.
void read_archive(const LocalSource& file, std::uint64_t offset, std::span<std::byte> buffer);

// "its clock is 600 s behind ours", "its clock agrees with ours"; `ahead`: of the other side's clock to ours, in
// seconds.
std::string clock_text(double ahead);

// Thread-safe after construction. Calls that wait for another host throw Error{stopped} when `stop` is requested. Errors name
// "target NAME":
//   target_unreachable   its host does not answer, or it is not the place that is expected
//   target_refused       its host, or we, refuse to talk
//   target_unwritable    no right to write there, no space    verify    what is there is not what was sent
//   io                   the local file can't be read         corrupt   it is shorter than expected
class Target {
 public:
  explicit Target(std::string name) : name_(std::move(name)) {}
  virtual ~Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  const std::string& name() const noexcept { return name_; }

  // How many calls are worth making at once.
  virtual unsigned parallel() const noexcept = 0;

  // --- which place it is
  // The text of its marker; nullopt where the place is there and has none.
  std::optional<std::string> read_marker(const std::stop_token& stop) { return do_read_marker(stop); }
  void write_marker(const std::string& text, const std::stop_token& stop) { do_write_marker(text, stop); }
  // Whether no build lies there.
  bool is_empty(const std::stop_token& stop) { return do_is_empty(stop); }
  bool has_build(const std::string& build_id, const std::stop_token& stop) { return do_has_build(build_id, stop); }
  // From now on the marker must have this text. To be called before the first of the calls below.
  void expect(const std::string& marker);

  // --- what needs the right place
  // Makes the build there a copy of the file: it is seen under its name when it is whole, safely there and found right, as far
  // as the other side can tell, and never before. What an earlier call left half done is done anew. Returns the bytes sent: 0
  // where a file of that size was there already, which is left as it is.
  std::uint64_t put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop);
  // Has the public name lead to the build, in one step where the place has one for it.
  void point(const tree::Link& link, const std::stop_token& stop);
  // Takes the public name away if it leads to the build; returns whether it did.
  bool unpoint(const tree::Link& link, const std::stop_token& stop);
  // Removes a build and what an upload that did not end left of it. No error where there is nothing.
  void remove(const std::string& build_id, const std::stop_token& stop);

  struct Condition {
    std::optional<std::uint64_t> free_bytes;    // nullopt: the place does not report it
    std::optional<double> clock_ahead_seconds;  // of the other side's clock to ours; nullopt: it does not matter
  };
  // Reaches it, logs in, lists, and tries out all that a delivery does, on a small scale.
  virtual Condition probe(const std::stop_token& stop) = 0;

 protected:
  // Throws Error{target_unreachable} unless the marker is the expected one.
  void require_place(const std::stop_token& stop);

 private:
  virtual std::optional<std::string> do_read_marker(const std::stop_token& stop) = 0;
  virtual void do_write_marker(const std::string& text, const std::stop_token& stop) = 0;
  virtual bool do_is_empty(const std::stop_token& stop) = 0;
  virtual bool do_has_build(const std::string& build_id, const std::stop_token& stop) = 0;
  virtual std::uint64_t do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) = 0;
  virtual void do_point(const tree::Link& link, const std::stop_token& stop) = 0;
  virtual bool do_unpoint(const tree::Link& link, const std::stop_token& stop) = 0;
  virtual void do_remove(const std::string& build_id, const std::stop_token& stop) = 0;
  // How long a look at the marker is good for: on another host it costs round trips.
  virtual std::chrono::seconds marker_lasts() const noexcept { return std::chrono::seconds(10); }

  const std::string name_;

  std::mutex mutex_;
  std::optional<std::string> expected_;                 // guarded by mutex_, as below
  std::chrono::steady_clock::time_point looked_until_;  // the marker was right, and is not read again before
};

}  // namespace zipmodule::storage
