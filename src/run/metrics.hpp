// What Prometheus reads about runs: a file for the textfile collector of its node exporter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "queue/upkeep.hpp"

namespace zipmodule::run {

// How a run went.
struct Ending {
  double started_at = 0;  // seconds since 1970, by this host's clock
  double ended_at = 0;
  double seconds = 0;             // between them, by a clock that nobody sets
  std::string outcome = "error";  // of the table run
  int exit_code = 70;             // 0: all is well
  std::uint64_t claimed = 0, done = 0, failed = 0;
  std::string error;  // what ended the run as a whole; empty: nothing did
};

struct Metrics {
  Ending ending;
  std::string host, version;
  std::optional<queue::Gauges> queue;             // empty: the database could not be asked
  std::optional<std::uint64_t> store_free_bytes;  // empty: the store could not be asked
};

// Prometheus' text format 0.0.4. What is not known is left out.
std::string metrics_text(const Metrics& metrics);

// Replaces `path` by rename of a file beside it, `path` + ".tmp", so that no reader sees half of it. One writer at a time.
// Throws Error{io, disk_full, store_unwritable}.
void write_metrics(const std::filesystem::path& path, const std::string& text);

// Whether write_metrics could do so: creates a temporary file beside `path`, under a name of its own so that a run may write
// meanwhile, and removes it. Throws Error{config}.
void try_metrics(const std::filesystem::path& path);

}  // namespace zipmodule::run
