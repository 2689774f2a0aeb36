// The verbs of the command line. Each lives in verb_<name>.cpp: its options, what it calls, what it prints.
#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <functional>

namespace zipmodule::cli {

// The options that every verb understands, before or after its name.
struct Globals {
  std::filesystem::path config_file;
  bool config_file_given = false;  // by --config or $ZIPMODULE_CONFIG
  bool json = false;
  int verbosity = 0;
};

// What the command line asked for. A verb's callback only stores the action; it runs when parsing is over, so that
// global options count wherever they stand. The action returns the exit code and may throw Error.
struct Invocation {
  Globals globals;
  std::function<int()> action;
};

// Each adds its subcommand to `app`. `invocation` must outlive the parsing and the action.
void add_migrate(CLI::App& app, Invocation& invocation);
void add_run(CLI::App& app, Invocation& invocation);
void add_publish(CLI::App& app, Invocation& invocation);
void add_status(CLI::App& app, Invocation& invocation);
void add_explain(CLI::App& app, Invocation& invocation);
void add_retry(CLI::App& app, Invocation& invocation);
void add_cancel(CLI::App& app, Invocation& invocation);
void add_prune(CLI::App& app, Invocation& invocation);
void add_check_config(CLI::App& app, Invocation& invocation);
void add_check(CLI::App& app, Invocation& invocation);
void add_zip(CLI::App& app, Invocation& invocation);
void add_inspect(CLI::App& app, Invocation& invocation);
void add_bench_claim(CLI::App& app, Invocation& invocation);  // hidden

// Of this binary, as in the project's CMakeLists.txt.
const char* version() noexcept;

}  // namespace zipmodule::cli
