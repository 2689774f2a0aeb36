#include "archive/file_list.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace zipmodule::archive {
namespace {

std::string_view trim_slashes(std::string_view text) noexcept {
  while (text.ends_with('/')) text.remove_suffix(1);
  while (text.starts_with('/')) text.remove_prefix(1);
  return text;
}

Error bad_element(std::size_t index, const std::string& rule) {
  return {ErrorKind::payload, fmt::format("files[{}]{}", index, rule), "publish the archive again with a valid list"};
}

bool has_parent_component(std::string_view path) noexcept {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") || path.find("/../") != std::string_view::npos;
}

Listed parse_element(const nlohmann::json& element, std::size_t index) {
  if (!element.is_object()) throw bad_element(index, ": must be an object");
  for (const auto& [key, value] : element.items()) {
    if (key != "source" && key != "destination" && key != "name") throw bad_element(index, fmt::format(": unknown key '{}'", key));
    if (!value.is_string()) throw bad_element(index, fmt::format(".{}: must be a string", key));
  }
  const std::string source = element.value("source", "");
  if (source.empty()) throw bad_element(index, ".source: is required");
  // The system would take what is before it for the path.
  if (source.find('\0') != std::string::npos) throw bad_element(index, ".source: must not contain NUL");
  Listed listed = parse_source(source);
  listed.destination = trim_slashes(element.value("destination", ""));
  listed.name = element.value("name", "");
  if (listed.path.starts_with('/')) throw bad_element(index, ".source: must not be absolute");
  if (has_parent_component(listed.path)) throw bad_element(index, ".source: must not contain '..'");
  if (has_parent_component(listed.destination)) throw bad_element(index, ".destination: must not contain '..'");
  if (listed.name.find('/') != std::string::npos || listed.name == "..") throw bad_element(index, ".name: must be a plain name");
  return listed;
}

}  // namespace

Listed parse_source(std::string_view source) {
  Listed listed;
  const auto colon = source.find(':');
  if (colon != std::string_view::npos && source.substr(0, colon).find('/') == std::string_view::npos) {
    listed.root = source.substr(0, colon);
    source.remove_prefix(colon + 1);
  } else {
    listed.root = "default";
  }
  // 'media:' alone is all of the root: its contents, as there is no folder to name.
  listed.contents_only = source.empty() || source.ends_with('/');
  if (source.ends_with('/')) source.remove_suffix(1);
  listed.path = source;
  return listed;
}

std::vector<Listed> parse_file_list(std::string_view json) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& failure) {
    throw Error(ErrorKind::payload, fmt::format("file list is not JSON: {}", failure.what()));
  }
  if (!document.is_array()) throw Error(ErrorKind::payload, "file list is not an array");
  std::vector<Listed> list;
  list.reserve(document.size());
  for (std::size_t i = 0; i < document.size(); ++i) list.push_back(parse_element(document[i], i));
  return list;
}

}  // namespace zipmodule::archive
