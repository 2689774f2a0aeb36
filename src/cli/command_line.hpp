// Verbs and options as plain data. command_line.cpp gives them to CLI11 and is the only file that includes it: its
// header takes seconds to compile.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zipmodule::cli {

struct Globals;

struct Option {
  // Where the word goes; a bool makes the option a flag. Must live until the verb's action has run.
  using Value =
      std::variant<bool*, unsigned*, double*, std::string*, std::optional<std::string>*, std::vector<std::string>*>;

  const char* name;  // "--level", "-q,--quiet", or "SERIES" for a word without an option before it
  Value value;
  const char* help;
  std::string shown = {};  // behind the name in the help: "LEVEL [balanced]"
  bool required = false;
  std::vector<std::string> one_of = {};           // other words are refused
  std::optional<std::pair<int, int>> range = {};  // other numbers are refused; both ends are allowed
  bool not_empty = false;                         // an empty word is refused
  const char* alone = nullptr;                    // what the option means without a word; needs one_of
  const char* needs = nullptr;                    // the name of another option of the verb
  const char* excludes = nullptr;                 // likewise
};

struct Verb {
  const char* name;
  const char* help;
  std::vector<Option> options = {};
  std::function<int()> action = {};  // returns the exit code; may throw Error
  bool hidden = false;               // not in the help
};

// Reads the command line into `globals` and the options of one verb, and returns that verb's action; for --help and
// --version, an action that prints. Throws Error{usage}.
std::function<int()> parse_command_line(int argc, char** argv, const std::vector<Verb>& verbs, Globals& globals);

}  // namespace zipmodule::cli
