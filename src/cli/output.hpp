// Data to stdout, messages to stderr.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

namespace zipmodule::cli {

// Keys stay in the order they were set in, which is the order of the database's columns.
using Json = nlohmann::ordered_json;

// Writes to stdout at once. A reader that went away (EPIPE) is no failure; other trouble throws Error{io}.
void print(std::string_view text);
// The document, indented, with a newline; bytes that are not UTF-8 are replaced.
void print_json(const Json& document);

// One message on stderr, made printable, each of its lines behind "zipmodule: "; the hint, if any, below it.
void message(std::string_view text, std::string_view hint = {});

// Whether stdout is a terminal that wants colours: NO_COLOR and TERM=dumb turn them off.
bool stdout_has_colours();

}  // namespace zipmodule::cli
