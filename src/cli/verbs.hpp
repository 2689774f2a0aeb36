// The verbs of the command line. Each lives in verb_<name>.cpp: its options, what it calls, what it prints.
#pragma once

#include <filesystem>

#include "cli/command_line.hpp"

namespace zipmodule::cli {

// The options that every verb understands, before or after its name.
struct Globals {
  std::filesystem::path config_file;
  bool config_file_given = false;  // by --config or $ZIPMODULE_CONFIG
  bool json = false;
  int verbosity = 0;
};

// Each describes one verb. `globals` must outlive the verb's action; they are complete when the action runs.
Verb migrate_verb(const Globals& globals);
Verb run_verb(const Globals& globals);
Verb publish_verb(const Globals& globals);
Verb status_verb(const Globals& globals);
Verb explain_verb(const Globals& globals);
Verb retry_verb(const Globals& globals);
Verb cancel_verb(const Globals& globals);
Verb prune_verb(const Globals& globals);
Verb check_config_verb(const Globals& globals);
Verb check_verb(const Globals& globals);
Verb store_verb(const Globals& globals);
Verb zip_verb(const Globals& globals);
Verb inspect_verb(const Globals& globals);
Verb bench_claim_verb(const Globals& globals);  // hidden

// Of this binary, as in the project's CMakeLists.txt.
const char* version() noexcept;

}  // namespace zipmodule::cli
