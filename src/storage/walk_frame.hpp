// What every walk keeps to, whatever it walks through: limits, the stop, the folders it is in. Private to src/storage.
#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "storage/root.hpp"

namespace zipmodule::storage {

class WalkFrame {
 public:
  // `base`: the walked folder, below the root.
  WalkFrame(const Root& root, std::string base, const WalkLimits& limits, std::stop_token stop, Visitor& visitor)
      : root_(root), base_(std::move(base)), limits_(limits), stop_(std::move(stop)), visitor_(visitor) {}

  // Thread-safe, as all down to release(). `below`: a path in the walked folder.
  const WalkLimits& limits() const noexcept { return limits_; }
  const std::stop_token& stop() const noexcept { return stop_; }
  std::string path(const std::string& below) const;  // below the root
  std::string name(const std::string& below) const;  // "root:path"
  void require_no_stop() const;                      // throws Error{stopped}
  bool excludes(std::string_view folder, const char* name) const;
  bool excludes(std::string_view below) const;

  // Names that were listed and are kept. Throws Error{limit} where they are too many, or too many bytes: a server that
  // lists without an end must not exhaust the memory. What was held stays so until it is released, also where this
  // throws.
  void hold(const std::string& below, std::uint64_t names, std::uint64_t bytes);
  void release(std::uint64_t names, std::uint64_t bytes) noexcept;

  // The caller's thread only, as all below. A folder that is gone into, and left. Throws Error{limit} where it is too
  // deep, and Error{source_unreadable} where it is one that the walk is in already. `id`: a number for each folder of
  // the root.
  using FolderId = std::pair<std::uint64_t, std::uint64_t>;
  void require_depth(const std::string& below) const;
  void enter(const std::string& below, const FolderId& id);
  void leave() { folders_.pop_back(); }
  std::size_t depth() const noexcept { return folders_.size(); }

  // For the visitor. Throws Error{limit} where the paths that were found have too many bytes.
  void found(const std::string& below, const FileStatus& status);
  void problem(const std::string& below, const Error& error);
  void left_out(std::uint64_t names) { visitor_.left_out(names); }

 private:
  void count_path(const std::string& below);

  const Root& root_;
  const std::string base_;
  const WalkLimits limits_;
  const std::stop_token stop_;
  Visitor& visitor_;

  std::atomic<std::uint64_t> names_held_{0};
  std::atomic<std::uint64_t> bytes_held_{0};
  std::uint64_t path_bytes_ = 0;
  std::vector<FolderId> folders_;
};

}  // namespace zipmodule::storage
