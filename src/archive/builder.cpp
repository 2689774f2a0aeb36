#include "archive/builder.hpp"

#include <fmt/format.h>

#include "archive/file_list.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
namespace {

// Header, central record and extra fields of an entry, beside twice its name: what an archive takes beside its content.
constexpr std::uint64_t k_overhead_per_entry = 160;

std::uint64_t most_bytes(const Plan& plan) {
  std::uint64_t bytes = plan.content_bytes() + 128;
  for (std::size_t i = 0; i < plan.size(); ++i) bytes += k_overhead_per_entry + 2 * plan.at(i).name.size();
  return bytes;
}

}  // namespace

std::unique_ptr<Plan> Builder::plan(const BuildRequest& request, const std::stop_token& stop) const {
  PlanOptions options = options_.plan;
  options.skip_missing = request.skip_missing;
  return make_plan(parse_file_list(request.files_json), roots_, options, stop);
}

FinishedBuild Builder::try_build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                                 BuildMeasurements& measured) const {
  const double cpu_before = thread_cpu_seconds();
  Stopwatch watch;
  const std::unique_ptr<Plan> plan = this->plan(request, stop);
  measured.plan_seconds += watch.lap();
  measured.files = plan->files();
  measured.missing = plan->missing();
  for (const std::string& warning : plan->warnings()) log::info("{}: {}", request.label, warning);

  const SpaceReservation reservation = store_.reserve(most_bytes(*plan));
  progress.bytes_done = 0;
  progress.bytes_total = plan->content_bytes();
  TemporaryBuild temporary = store_.create_temporary();
  zip::WriteOptions options;
  options.level = request.level;
  options.allow_empty = options_.allow_empty;
  options.progress = &progress.bytes_done;
  measured.write = zip::write_archive(temporary.fd(), temporary.path(), *plan, *plan, options, resources_, stop);

  watch.lap();
  FinishedBuild finished;
  finished.entries = plan->size();
  finished.fingerprint = zip::verify_against_plan(zip::open_archive(temporary.fd(), temporary.path()), *plan);
  if (stop.stop_requested()) throw Error(ErrorKind::stopped, "building was stopped");
  finished.file = temporary.publish();
  measured.sync_seconds += watch.lap();
  measured.cpu_seconds += measured.write.cpu_seconds + thread_cpu_seconds() - cpu_before;
  return finished;
}

FinishedBuild Builder::build(const BuildRequest& request, const std::stop_token& stop, BuildProgress& progress,
                             BuildMeasurements& measured) const {
  constexpr int k_tries = 3;  // a CMS that is still writing is usually done by the second
  for (int i = 1;; ++i) {
    try {
      return try_build(request, stop, progress, measured);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::source_changed || i == k_tries) throw;
      log::info("{}: {}; trying again", request.label, error.what());
    }
  }
}

}  // namespace zipmodule::archive
