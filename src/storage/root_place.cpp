#include "storage/root_place.hpp"

#include <fmt/format.h>

namespace zipmodule::storage {
namespace {

void require_marker(const Root& root, const std::string& marker, const std::stop_token& stop) {
  try {
    root.status(marker, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::source_missing) throw;
    throw Error(ErrorKind::root_away, fmt::format("content root {}: its marker {} is not there", root.name(), marker),
                fmt::format("mount its disk, or change content.roots.{}.marker", root.name()));
  }
}

}  // namespace

std::shared_ptr<const Root> RootPlace::for_attempt(const std::stop_token& stop) const {
  auto root = root_ ? root_ : open_();
  if (!marker_.empty()) require_marker(*root, marker_, stop);
  return root;
}

std::optional<std::string> RootPlace::path_of(const std::string& url) const {
  return root_ ? root_->path_of(url) : std::nullopt;
}

}  // namespace zipmodule::storage
