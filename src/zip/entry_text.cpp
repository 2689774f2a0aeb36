#include "zip/entry_text.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace zipmodule::zip {
namespace {

// The upper half of IBM's code page 437.
constexpr std::array<std::uint16_t, 128> k_cp437{
    0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, 0x00EA, 0x00EB, 0x00E8, 0x00EF, 0x00EE,
    0x00EC, 0x00C4, 0x00C5, 0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9, 0x00FF, 0x00D6,
    0x00DC, 0x00A2, 0x00A3, 0x00A5, 0x20A7, 0x0192, 0x00E1, 0x00ED, 0x00F3, 0x00FA, 0x00F1, 0x00D1, 0x00AA,
    0x00BA, 0x00BF, 0x2310, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255D, 0x255C, 0x255B, 0x2510, 0x2514,
    0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F, 0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256C, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256B, 0x256A, 0x2518, 0x250C,
    0x2588, 0x2584, 0x258C, 0x2590, 0x2580, 0x03B1, 0x00DF, 0x0393, 0x03C0, 0x03A3, 0x03C3, 0x00B5, 0x03C4,
    0x03A6, 0x0398, 0x03A9, 0x03B4, 0x221E, 0x03C6, 0x03B5, 0x2229, 0x2261, 0x00B1, 0x2265, 0x2264, 0x2320,
    0x2321, 0x00F7, 0x2248, 0x00B0, 0x2219, 0x00B7, 0x221A, 0x207F, 0x00B2, 0x25A0, 0x00A0,
};

void append_utf8(std::string& text, std::int32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto n = utf8proc_encode_char(code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(n));
}

// The bytes the first character takes; 0 where they are not UTF-8.
std::size_t utf8_length(std::string_view text) noexcept {
  utf8proc_int32_t code_point = -1;
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                  static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string escaped(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    if (n == 0) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else {
      result += text.substr(0, n);
    }
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return result;
}

EntryText decoded(const std::string& bytes, const std::string& unicode_field, bool flagged) {
  if (is_ascii(bytes) && unicode_field.empty()) return {bytes, TextSource::utf8};
  if (!flagged && !unicode_field.empty() && is_utf8(unicode_field)) {
    return {unicode_field, unicode_field == bytes ? TextSource::utf8 : TextSource::unicode_field};
  }
  if (is_utf8(bytes)) return {bytes, TextSource::utf8};
  if (flagged) return {escaped(bytes), TextSource::broken_utf8};
  return {from_cp437(bytes), TextSource::cp437};
}

}  // namespace

std::string_view to_string(TextSource source) noexcept {
  switch (source) {
    case TextSource::utf8:
      return "UTF-8";
    case TextSource::unicode_field:
      return "Unicode field";
    case TextSource::cp437:
      return "CP437";
    case TextSource::broken_utf8:
      return "broken UTF-8";
  }
  return {};
}

bool is_ascii(std::string_view bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string from_cp437(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    append_utf8(text, byte < 0x80 ? byte : k_cp437[byte - 0x80U]);
  }
  return text;
}

EntryText name_of(const CentralRecord& record) {
  return decoded(record.name, record.unicode_name, (record.flags & k_flag_utf8) != 0);
}

EntryText comment_of(const CentralRecord& record) {
  return decoded(record.comment, record.unicode_comment, (record.flags & k_flag_utf8) != 0);
}

EntryText comment_text(std::string_view bytes) { return decoded(std::string(bytes), {}, false); }

}  // namespace zipmodule::zip
