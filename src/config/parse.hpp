// From YAML text to Config, without touching environment or machine. Private to src/config and its tests.
#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"

namespace zipmodule::config {

// What 'auto' stands for.
struct Machine {
  unsigned cores = 1;
  std::string host;
};

struct ParsedConfig {
  Config config;  // complete only where there is no problem
  std::vector<Problem> problems;
  std::vector<std::string> keys;  // every key that may stand in the file, as "run.lease"
};

// `file` is for the problems only.
ParsedConfig parse(const std::string& yaml, const std::string& file, const Machine& machine);

// The database section alone; what stands elsewhere is not looked at, as long as it is YAML.
ParsedConfig parse_database(const std::string& yaml, const std::string& file);

}  // namespace zipmodule::config
