// How the verbs reach the database.
#pragma once

#include <string>

#include "cli/verbs.hpp"
#include "queue/connection.hpp"
#include "queue/reader.hpp"

namespace zipmodule::cli {

// From the database section alone: a slip elsewhere in the configuration does not keep an operator from looking.
queue::ConnectionOptions connection_options(const Globals& globals, const std::string& verb);

// The same, after making sure that the schema is the one this binary knows.
queue::ConnectionOptions ready_connection(const Globals& globals, const std::string& verb);

// Says on stderr that there is no such archive, and returns the exit code.
int unknown_archive(const std::string& series, const std::string& archive);

// For verbs that act on one archive and whose SQL function answered false: says whether there is no such archive, or
// that there was nothing to do, and returns the exit code. `nothing` reads like "there is nothing to retry".
int nothing_changed(const queue::ConnectionOptions& options, const std::string& series, const std::string& archive,
                    const std::string& nothing);

}  // namespace zipmodule::cli
