#include "storage/target.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>

#include "base/fd.hpp"

namespace zipmodule::storage {

void read_archive(const LocalSource& file, std::uint64_t offset, std::span<std::byte> buffer) {
  const ssize_t got = pread_full(file.fd, buffer, offset);
  if (got < 0) throw Error(ErrorKind::io, fmt::format("read the archive: {}", errno_text(errno)));
  if (static_cast<std::size_t>(got) != buffer.size()) {
    throw Error(ErrorKind::corrupt, "the archive is shorter than it was");
  }
}

std::string clock_text(double ahead) {
  const double seconds = std::round(std::abs(ahead));
  if (seconds == 0) return "its clock agrees with ours";
  return fmt::format("its clock is {:.0f} s {} ours", seconds, ahead > 0 ? "ahead of" : "behind");
}

void Target::expect(const std::string& marker) {
  std::lock_guard lock(mutex_);
  expected_ = marker;
  looked_until_ = {};
}

void Target::require_place(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::string expected;
  {
    std::lock_guard lock(mutex_);
    if (!expected_)
      throw Error(ErrorKind::internal, fmt::format("target {}: nobody knows yet which place it is", name_));
    if (Clock::now() < looked_until_) return;
    expected = *expected_;
  }
  const auto found = read_marker(stop);
  if (found != expected) {
    throw Error(ErrorKind::target_unreachable,
                fmt::format("target {}: {}", name_,
                            found ? "its marker .zipmodule.target is that of another place"
                                  : "it has no marker .zipmodule.target, and archives were delivered there before"),
                fmt::format("mount its disk; where it is a new one: zipmodule store adopt --target {}", name_));
  }
  std::lock_guard lock(mutex_);
  looked_until_ = Clock::now() + marker_lasts();
}

std::uint64_t Target::put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) {
  require_place(stop);
  return do_put(file, build_id, stop);
}

void Target::point(const tree::Link& link, const std::stop_token& stop) {
  require_place(stop);
  do_point(link, stop);
}

bool Target::unpoint(const tree::Link& link, const std::stop_token& stop) {
  require_place(stop);
  return do_unpoint(link, stop);
}

void Target::remove(const std::string& build_id, const std::stop_token& stop) {
  require_place(stop);
  do_remove(build_id, stop);
}

}  // namespace zipmodule::storage
