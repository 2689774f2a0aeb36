// Markdown as far as its promises can be tested: code blocks with a marker before them, tables, links.
#pragma once

#include <string>
#include <vector>

namespace zipmodule::test {

// A fenced block after a line '<!-- kind: argument -->'.
struct Block {
  std::string kind;
  std::string argument;
  std::string text;  // lines, each with its newline
};

class Document {
 public:
  // `name` is a path in the source tree. Throws std::runtime_error if it can't be read.
  explicit Document(const std::string& name);

  const std::string& text() const noexcept { return text_; }
  bool has(const std::string& part) const { return text_.find(part) != std::string::npos; }
  std::vector<Block> blocks(const std::string& kind) const;
  // The cells of the table whose head begins with this cell, without head and rule. '`' stays.
  std::vector<std::vector<std::string>> table(const std::string& first_head) const;
  // Targets of links without a scheme, as the document has them.
  std::vector<std::string> links() const;

 private:
  std::string text_;
  std::vector<std::string> lines_;
};

// The texts between backticks.
std::vector<std::string> code_words(const std::string& text);

}  // namespace zipmodule::test
