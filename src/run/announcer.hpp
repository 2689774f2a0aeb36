// Tells the world outside the database about a run: metrics file and pings.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "config/config.hpp"
#include "run/metrics.hpp"
#include "run/ping.hpp"

namespace zipmodule::run {

// For one run that holds the lock; one that does not must be silent. Used from one thread. Nothing here throws or fails a
// run: trouble is one warning a run, without what is secret of the address.
class Announcer {
 public:
  Announcer(const config::Config& config, std::string version);

  void started() noexcept;
  // Measures the end, asks database and store, writes the file, pings.
  void ended(Ending ending) noexcept;

 private:
  void signal(Signal signal, const std::string& body);
  void write_file(const Ending& ending);

  const config::Config& config_;
  const std::string version_;
  const double started_at_;
  const Stopwatch watch_;
  bool warned_ = false;
};

}  // namespace zipmodule::run
