#include "cli/table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/format.hpp"

namespace zipmodule::cli {
namespace {

int code_of(Colour colour) noexcept {
  switch (colour) {
    case Colour::red:
      return 31;
    case Colour::green:
      return 32;
    case Colour::yellow:
      return 33;
    case Colour::cyan:
      return 36;
    case Colour::grey:
      return 90;
    case Colour::none:
      break;
  }
  return 0;
}

std::string padded(const std::string& text, std::size_t spaces, Table::Align align) {
  const std::string padding(spaces, ' ');
  return align == Table::Align::right ? padding + text : text + padding;
}

}  // namespace

std::string coloured(const std::string& text, Colour colour) {
  return colour == Colour::none ? text : fmt::format("\033[{}m{}\033[0m", code_of(colour), text);
}

std::string Table::text(bool with_colours) const {
  std::vector<std::vector<Cell>> lines(1);
  for (const auto& column : columns_) lines.front().push_back({column.title, Colour::none});
  for (const auto& row : rows_) {
    lines.emplace_back();
    for (const auto& cell : row) lines.back().push_back({printable(cell.text), cell.colour});
  }
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], display_width(line[i].text));
  }
  std::string result;
  for (const auto& line : lines) {
    std::string out;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const auto& cell = line[i];
      const std::string shown = with_colours ? coloured(cell.text, cell.colour) : cell.text;
      out += padded(shown, widths[i] - display_width(cell.text), columns_[i].align) + "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    result += out + "\n";
  }
  return result;
}

}  // namespace zipmodule::cli
