// The command line: one verb per file, exit codes by base/error.hpp.
#pragma once

namespace zipmodule::cli {

// Parses, calls the verb, prints. Returns the exit code; never throws. Ignores SIGPIPE for the whole process: a closed
// pipe on stdout ends the output, not the work.
int run_app(int argc, char** argv);

}  // namespace zipmodule::cli
