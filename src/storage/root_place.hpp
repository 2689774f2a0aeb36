// A content root as it is configured.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "storage/root.hpp"

namespace zipmodule::storage {

// Every attempt at a job asks it for the root, which may have been away before, or be another folder by now.
// Thread-safe.
class RootPlace {
 public:
  // Throws Error{root_away}.
  using Open = std::function<std::shared_ptr<const Root>()>;

  // A folder of this host. `marker`: a path below the root that has to be there, or the root is away; may be empty.
  explicit RootPlace(Open open, std::string marker = {}) : open_(std::move(open)), marker_(std::move(marker)) {}
  // One root for all attempts: it has connections with another host.
  template <class AnyRoot>
  RootPlace(std::shared_ptr<AnyRoot> root, std::string marker = {})  // NOLINT(google-explicit-constructor)
      : root_(std::move(root)), marker_(std::move(marker)) {}

  // The root, which stays the same folder as long as the attempt holds it. Throws Error{root_away} where it can't be
  // opened or its marker is missing, and what status() throws.
  std::shared_ptr<const Root> for_attempt(const std::stop_token& stop) const;

  bool has_marker() const noexcept { return !marker_.empty(); }

  // As Root::path_of.
  std::optional<std::string> path_of(const std::string& url) const;

 private:
  std::shared_ptr<const Root> root_;  // or null
  Open open_;
  std::string marker_;
};

}  // namespace zipmodule::storage
