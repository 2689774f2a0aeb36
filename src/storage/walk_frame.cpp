#include "storage/walk_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

// Names have some 20 bytes, and paths some 60. So many for each entry that is allowed leave room for long ones.
constexpr std::uint64_t k_name_bytes = 128;
constexpr std::uint64_t k_path_bytes = 256;
// Whatever the limit of entries.
constexpr std::uint64_t k_least_bytes = std::uint64_t{64} << 20U;

std::uint64_t most_bytes(const WalkLimits& limits, std::uint64_t each) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return limits.max_names > most / each ? most : std::max(k_least_bytes, each * limits.max_names);
}

Error too_many_bytes(const std::string& name, const char* what, std::uint64_t bytes) {
  return {ErrorKind::limit, fmt::format("source {}: {} of more than {} bytes", name, what, bytes),
          "publish fewer files, or raise limits.max_entries: it bounds the bytes of their names, too"};
}

}  // namespace

std::string WalkFrame::path(const std::string& below) const { return join(base_, below); }

std::string WalkFrame::name(const std::string& below) const { return root_.full_name(path(below)); }

void WalkFrame::require_no_stop() const {
  if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
}

bool WalkFrame::excludes(std::string_view folder, const char* name) const {
  return limits_.exclude != nullptr && limits_.exclude->excludes(folder, name);
}

bool WalkFrame::excludes(std::string_view below) const {
  const auto slash = below.rfind('/');
  const bool at_top = slash == std::string_view::npos;
  const std::string name(at_top ? below : below.substr(slash + 1));
  return excludes(at_top ? std::string_view() : below.substr(0, slash), name.c_str());
}

void WalkFrame::hold(const std::string& below, std::uint64_t names, std::uint64_t bytes) {
  const std::uint64_t most = most_bytes(limits_, k_name_bytes);
  const bool many = (names_held_ += names) > limits_.max_names;
  const bool large = (bytes_held_ += bytes) > most;
  if (many) {
    throw Error(ErrorKind::limit, fmt::format("source {}: more than {} entries", name(below), limits_.max_names),
                "publish fewer files, or raise limits.max_entries");
  }
  if (large) throw too_many_bytes(name(below), "names", most);
}

void WalkFrame::release(std::uint64_t names, std::uint64_t bytes) noexcept {
  names_held_ -= names;
  bytes_held_ -= bytes;
}

void WalkFrame::require_depth(const std::string& below) const {
  if (folders_.size() < limits_.max_depth) return;
  throw Error(ErrorKind::limit, fmt::format("source {} is more than {} folders deep", name(below), limits_.max_depth),
              "raise limits.max_depth");
}

void WalkFrame::enter(const std::string& below, const FolderId& id) {
  require_depth(below);
  if (std::find(folders_.begin(), folders_.end(), id) != folders_.end()) {
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {} is a symlink to a folder that contains it", name(below)), "remove the symlink");
  }
  folders_.push_back(id);
}

void WalkFrame::count_path(const std::string& below) {
  const std::uint64_t most = most_bytes(limits_, k_path_bytes);
  if ((path_bytes_ += below.size()) > most) throw too_many_bytes(name(""), "paths", most);
}

void WalkFrame::found(const std::string& below, const FileStatus& status) {
  count_path(below);
  visitor_.found(below, status);
}

void WalkFrame::problem(const std::string& below, const Error& error) {
  count_path(below);
  visitor_.problem(below, error);
}

}  // namespace zipmodule::storage
