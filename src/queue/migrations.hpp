// Installing and checking the schema.
#pragma once

#include <string>
#include <vector>

#include "queue/connection.hpp"

namespace zipmodule::queue {

struct AppliedMigration {
  int version = 0;
  std::string name;
};

// The version this binary knows: the number of the last file in sql/schema.
int known_schema_version() noexcept;

// Applies what is missing, in order, each in a transaction of its own under a transaction-level advisory lock, so that
// two at once are safe. Returns what was applied (or, with dry_run, would be). Throws Error{schema_version} if the
// database is newer than this binary, Error{database}, Error{database_setup}.
std::vector<AppliedMigration> migrate(const ConnectionOptions& options, bool dry_run);

// Throws Error{schema_version} or Error{database_setup} with the command that mends it, unless the schema is exactly
// the known one.
void require_current_schema(const ConnectionOptions& options);

}  // namespace zipmodule::queue
