#include "base/archive_name.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace zipmodule {
namespace {

constexpr std::size_t k_id_digits = 32;

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

std::string_view suffix_of(ArchiveFormat format) noexcept {
  switch (format) {
    case ArchiveFormat::zip:
      return ".zip";
  }
  return {};
}

bool is_build_id(std::string_view text) noexcept {
  return text.size() == k_id_digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string build_path(std::string_view build_id, ArchiveFormat format) {
  if (!is_build_id(build_id)) throw Error(ErrorKind::internal, fmt::format("'{}' is no build id", build_id));
  return fmt::format("builds/{}/{}{}", build_id.substr(0, 2), build_id, suffix_of(format));
}

std::string public_path(std::string_view series, std::string_view archive, ArchiveFormat format) {
  if (!is_plain_name(series) || !is_plain_name(archive)) {
    throw Error(ErrorKind::payload, fmt::format("series '{}' or archive '{}' can't be a file name", series, archive));
  }
  return fmt::format("public/{}/{}{}", series, archive, suffix_of(format));
}

}  // namespace zipmodule
