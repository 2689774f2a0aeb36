// Names and comments as text, whatever they were written in. What an archive holds stays in its records byte for byte.
#pragma once

#include <string>
#include <string_view>

#include "zip/format.hpp"

namespace zipmodule::zip {

// Where the text comes from, and so whether it is the record's own bytes (utf8 alone).
enum class TextSource {
  utf8,           // valid UTF-8, with or without the flag that says so
  unicode_field,  // Info-ZIP's 0x7075 or 0x6375, whose CRC is that of the record's bytes
  cp437,          // APPNOTE appendix D: no flag, and not UTF-8
  broken_utf8,    // flagged as UTF-8, but not valid: bytes that are not stand as \xHH
};
std::string_view to_string(TextSource source) noexcept;

struct EntryText {
  std::string text;  // always valid UTF-8
  TextSource source = TextSource::utf8;
};

EntryText name_of(const CentralRecord& record);
EntryText comment_of(const CentralRecord& record);
// An archive's own comment, which has no flag.
EntryText comment_text(std::string_view bytes);

// Every byte has a character in CP437; those below 0x80 are ASCII's.
std::string from_cp437(std::string_view bytes);
bool is_ascii(std::string_view bytes) noexcept;

}  // namespace zipmodule::zip
