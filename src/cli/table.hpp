// Text in aligned columns.
#pragma once

#include <string>
#include <vector>

namespace zipmodule::cli {

enum class Colour { none, red, green, yellow, cyan, grey };

// The text between the terminal's codes for the colour.
std::string coloured(const std::string& text, Colour colour);

class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  struct Cell {
    std::string text;
    Colour colour = Colour::none;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }

  // A line of titles and a line per row, without spaces at the ends of lines. Cells are made printable.
  std::string text(bool with_colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace zipmodule::cli
