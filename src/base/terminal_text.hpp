// Text that may come from a publisher, a disk or a damaged archive, for terminals and logs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zipmodule {

// The text with control and format characters made visible, so that a name can't drive the terminal, turn text around or
// break a line. Invalid UTF-8 becomes '?'. What is printable already stays as it is.
std::string printable(std::string_view text);
// Columns that a terminal needs for it; `text` must be printable.
std::size_t display_width(std::string_view text);

}  // namespace zipmodule
