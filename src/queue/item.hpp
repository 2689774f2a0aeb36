// What a worker reports of its attempts, as one parameter whatever their number: an array of zipmodule.attempt in
// PostgreSQL's text form. An array of rows costs the server a third of what the same in JSON does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/job.hpp"

namespace zipmodule::queue {

// One row of zipmodule.attempt.
struct Item {
  std::size_t i = 0;  // its place in the batch, which answers name
  Attempt attempt;
  // of a Completion
  std::optional<BuildRecord> build;
  // of a Failure
  bool counts = false;
  bool retryable = false;
  std::optional<double> retry_after_seconds;
};

Item item_of(const Lease& lease);
Item item_of(const Attempt& attempt);
Item item_of(const Completion& completion);
Item item_of(const Failure& failure);

// Text that a column takes: no zero character, and what is not UTF-8 becomes U+FFFD. A damaged archive's own names stand in
// what is said about it.
std::string storable(std::string text);

// PostgreSQL array literals. `measured`: with what telemetry needs; the server takes as long to read that as all the rest.
std::string array_literal(const std::vector<Item>& items, bool measured);
std::string array_literal(const std::vector<std::int64_t>& numbers);
std::string array_literal(const std::vector<double>& numbers);
std::string array_literal(const std::vector<std::string>& texts);

}  // namespace zipmodule::queue
