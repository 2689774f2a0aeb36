// Attempts as the JSON that the statements expand with zipmodule.attempt, so that a batch is one parameter.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "queue/job.hpp"

namespace zipmodule::queue {

// One element of zipmodule.attempt each; `i` is added by settle().
nlohmann::json to_json(const Lease& lease);
nlohmann::json to_json(const Attempt& attempt);
nlohmann::json to_json(const Completion& completion);
nlohmann::json to_json(const Failure& failure);

// JSON text that jsonb takes, whatever bytes file names and messages had: what is not UTF-8 becomes U+FFFD.
std::string to_text(const nlohmann::json& json);
// The same of an array of them, which are not copied for it.
std::string to_text(const std::vector<nlohmann::json>& batch);

// Text that a column takes: no zero character, and what is not UTF-8 becomes U+FFFD. A damaged archive's own names stand in
// what is said about it.
std::string storable(std::string text);

// PostgreSQL array literals.
std::string array_literal(const std::vector<std::int64_t>& numbers);
std::string array_literal(const std::vector<std::string>& texts);

}  // namespace zipmodule::queue
