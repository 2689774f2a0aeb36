// The configuration as it was understood.
#pragma once

#include "cli/output.hpp"
#include "config/config.hpp"

namespace zipmodule::cli {

// With the keys and notations of the YAML file, so that it can be loaded again; only the dsn's password is left out.
Json to_json(const config::Config& config);

}  // namespace zipmodule::cli
