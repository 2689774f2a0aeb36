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
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

// Takes the list element by element as it is parsed: a document of 100,000 objects would take ten times its text.
class ListReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit ListReader(const std::function<void(const Listed&)>& take) : take_(take) {}

  bool start_array(std::size_t) override {
    if (in_array_) throw wrong_value();
    in_array_ = true;
    return true;
  }
  bool start_object(std::size_t) override {
    if (!in_array_) throw not_an_array();
    if (in_object_) throw wrong_value();
    in_object_ = true;
    source_.clear();
    destination_.clear();
    name_.clear();
    return true;
  }
  bool key(string_t& key) override {
    if (key == "source")
      value_ = &source_;
    else if (key == "destination")
      value_ = &destination_;
    else if (key == "name")
      value_ = &name_;
    else
      throw bad_element(taken_, fmt::format(": unknown key '{}'", key));
    key_ = key;
    return true;
  }
  bool string(string_t& text) override {
    if (!in_object_) throw wrong_value();
    *value_ = std::move(text);
    return true;
  }
  bool end_object() override {
    in_object_ = false;
    take_(listed());
    ++taken_;
    return true;
  }
  bool end_array() override { return true; }

  bool null() override { throw wrong_value(); }
  bool boolean(bool) override { throw wrong_value(); }
  bool number_integer(number_integer_t) override { throw wrong_value(); }
  bool number_unsigned(number_unsigned_t) override { throw wrong_value(); }
  bool number_float(number_float_t, const string_t&) override { throw wrong_value(); }
  bool binary(binary_t&) override { throw wrong_value(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& failure) override {
    throw Error(ErrorKind::payload, fmt::format("file list is not JSON: {}", failure.what()));
  }

 private:
  static Error not_an_array() { return {ErrorKind::payload, "file list is not an array"}; }
  Error wrong_value() const {
    if (!in_array_) return not_an_array();
    if (!in_object_) return bad_element(taken_, ": must be an object");
    return bad_element(taken_, fmt::format(".{}: must be a string", key_));
  }

  Listed listed() const {
    const std::size_t index = taken_;
    if (source_.empty()) throw bad_element(index, ".source: is required");
    // The system would take what is before it for the path.
    if (source_.find('\0') != std::string::npos) throw bad_element(index, ".source: must not contain NUL");
    Listed listed = parse_source(source_);
    listed.destination = trim_slashes(destination_);
    listed.name = name_;
    if (listed.path.starts_with('/')) throw bad_element(index, ".source: must not be absolute");
    if (has_parent_component(listed.path) || has_parent_component(listed.url))
      throw bad_element(index, ".source: must not contain '..'");
    if (has_parent_component(listed.destination)) throw bad_element(index, ".destination: must not contain '..'");
    if (name_.find('/') != std::string::npos || name_ == "..") throw bad_element(index, ".name: must be a plain name");
    return listed;
  }

  const std::function<void(const Listed&)>& take_;
  std::size_t taken_ = 0;
  std::string source_;
  std::string destination_;
  std::string name_;
  std::string key_;
  std::string* value_ = nullptr;  // what the next string is the value of
  bool in_array_ = false;
  bool in_object_ = false;
};

}  // namespace

bool is_url(std::string_view source) noexcept {
  return source.starts_with("sftp://") || source.starts_with("s3://") || source.starts_with("https://");
}

Listed parse_source(std::string_view source) {
  Listed listed;
  if (is_url(source)) {
    listed.contents_only = source.ends_with('/');
    if (listed.contents_only) source.remove_suffix(1);
    listed.url = source;
    return listed;
  }
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

void for_each_listed(std::string_view json, const std::function<void(const Listed&)>& take) {
  ListReader reader(take);
  nlohmann::json::sax_parse(json, &reader);
}

std::vector<Listed> parse_file_list(std::string_view json) {
  std::vector<Listed> list;
  for_each_listed(json, [&](const Listed& listed) { list.push_back(listed); });
  return list;
}

}  // namespace zipmodule::archive
