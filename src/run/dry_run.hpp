// What a run would do now, without doing any of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "archive/plan.hpp"
#include "base/error.hpp"
#include "config/config.hpp"

namespace zipmodule::run {

// A due job. Its names come from publishers and from disks: they are for no terminal as they are.
struct PlannedJob {
  std::string series;
  std::string archive;
  std::int64_t revision = 0;
  bool link_only = false;               // built already; only its link would be switched
  std::unique_ptr<archive::Plan> plan;  // null with link_only, and where planning failed:
  std::optional<Error> error;           // why
};

// Calls `visit` for the jobs that a run would claim, in that order, at most 1,000 of them, each planned as its build would
// be; the plan is only valid in there. Returns how many. Takes no lock, claims nothing, writes nothing.
std::size_t dry_run(const config::Config& config, const std::function<void(const PlannedJob&)>& visit);

}  // namespace zipmodule::run
