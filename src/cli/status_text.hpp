// Jobs as a table, and one job as a block. Pure: values in, text out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cli/table.hpp"
#include "queue/reader.hpp"

namespace zipmodule::cli {

Colour colour_of_state(const std::string& state) noexcept;

// One line per job: what it is, its state and progress, sizes and ages, and what there is to say about it.
std::string status_table(const std::vector<queue::JobStatus>& jobs, std::chrono::system_clock::time_point now,
                         bool with_colours);

// One job with all that is known about it.
std::string status_block(const queue::JobDetail& job, bool with_colours);

}  // namespace zipmodule::cli
