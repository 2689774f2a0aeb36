// Rows of the queue as JSON, with the names of their columns.
#pragma once

#include <string>
#include <vector>

#include "cli/output.hpp"
#include "queue/reader.hpp"

namespace zipmodule::cli {

// A row of job_status; what is empty or absent there is null.
Json to_json(const queue::JobStatus& status);
// The row, and what only a detail knows.
Json to_json(const queue::JobDetail& detail);

// The text as JSON; null where it is empty, the text itself where it is no JSON.
Json json_of(const std::string& text);

// Members of a telemetry or run row. The fallback stands for absent, null, or of another type.
std::string text_of(const Json& row, const char* key);
double number_of(const Json& row, const char* key);

}  // namespace zipmodule::cli
