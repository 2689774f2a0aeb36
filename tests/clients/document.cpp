#include "clients/document.hpp"

#include <algorithm>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// A '|' between backticks belongs to the cell.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::string cell;
  bool code = false;
  for (const char letter : line.substr(1)) {
    if (letter == '`') code = !code;
    if (letter == '|' && !code) {
      cells.push_back(trimmed(cell));
      cell.clear();
    } else {
      cell += letter;
    }
  }
  return cells;
}

std::vector<std::string> all_matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

}  // namespace

Document::Document(const std::string& name) : text_(read_file(source_path(name))) {
  if (text_.empty()) throw std::runtime_error(name + " is empty");
  std::istringstream stream(text_);
  for (std::string line; std::getline(stream, line);) lines_.push_back(line);
}

std::vector<Block> Document::blocks(const std::string& kind) const {
  static const std::regex k_marker("<!-- ([a-z]+): (.*) -->");
  std::vector<Block> found;
  for (std::size_t i = 0; i + 1 < lines_.size(); ++i) {
    std::smatch match;
    if (!std::regex_match(lines_[i], match, k_marker) || match[1] != kind) continue;
    if (!lines_[i + 1].starts_with("```")) throw std::runtime_error("no code block follows " + lines_[i]);
    Block block{match[1], match[2], {}};
    for (std::size_t j = i + 2; j < lines_.size() && lines_[j] != "```"; ++j) block.text += lines_[j] + '\n';
    found.push_back(std::move(block));
  }
  return found;
}

std::vector<std::vector<std::string>> Document::table(const std::string& first_head) const {
  std::vector<std::vector<std::string>> rows;
  auto line = std::find_if(lines_.begin(), lines_.end(),
                           [&](const auto& text) { return text.starts_with("| " + first_head + " |"); });
  if (line == lines_.end()) throw std::runtime_error("no table begins with " + first_head);
  for (line += 2; line != lines_.end() && line->starts_with('|'); ++line) rows.push_back(cells_of(*line));
  return rows;
}

std::vector<std::string> Document::links() const {
  static const std::regex k_link(R"(\]\(([^)#:]+)(?:#[^)]*)?\))");
  return all_matches(text_, k_link);
}

std::vector<std::string> code_words(const std::string& text) {
  static const std::regex k_code("`([^`]+)`");
  return all_matches(text, k_code);
}

}  // namespace zipmodule::test
