#include "base/terminal_text.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

namespace zipmodule {
namespace {

struct CodePoint {
  std::int32_t value = -1;  // negative: not UTF-8
  std::size_t bytes = 1;
};

CodePoint first_of(std::string_view text) {
  utf8proc_int32_t value = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto taken = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &value);
  if (taken <= 0) return {};
  return {value, static_cast<std::size_t>(taken)};
}

// Control and format characters: among these the ones that turn text around.
bool is_unsafe(std::int32_t code_point) {
  const auto category = utf8proc_category(code_point);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const CodePoint next = first_of(text);
    if (next.value < 0) {
      result += '?';
    } else if (is_unsafe(next.value)) {
      result += fmt::format("\\u{{{:x}}}", next.value);
    } else {
      result += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return result;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const CodePoint next = first_of(text);
    width += next.value < 0 ? 1 : static_cast<std::size_t>(std::max(0, utf8proc_charwidth(next.value)));
    text.remove_prefix(next.bytes);
  }
  return width;
}

}  // namespace zipmodule
