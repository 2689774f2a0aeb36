#include "cli/output.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "base/terminal_text.hpp"

namespace zipmodule::cli {

void print(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  const int error_number = errno;
  if (written || error_number == EPIPE) return;
  throw Error(ErrorKind::io, fmt::format("write to stdout: {}", errno_text(error_number)));
}

void print_json(const Json& document) { print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

void message(std::string_view text, std::string_view hint) {
  std::string lines;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    lines += fmt::format("zipmodule: {}\n", printable(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  if (!hint.empty()) lines += fmt::format("  hint: {}\n", printable(hint));
  // Nowhere is left to report that stderr can't be written.
  std::fwrite(lines.data(), 1, lines.size(), stderr);
}

bool stdout_has_colours() {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  const char* term = std::getenv("TERM");
  if (term == nullptr || std::string_view(term) == "dumb") return false;
  return ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace zipmodule::cli
