#include "run/dry_run.hpp"

#include "archive/builder.hpp"
#include "queue/migrations.hpp"
#include "queue/worker.hpp"
#include "run/job.hpp"
#include "run/site.hpp"

namespace zipmodule::run {
namespace {

// More than a person reads, and a bound for a queue of a million jobs.
constexpr std::size_t k_jobs_most = 1'000;

PlannedJob planned(const queue::ClaimedJob& job, const Site& site) {
  PlannedJob result{job.series, job.archive, job.lease.revision, job.built_revision == job.lease.revision, {}, {}};
  if (result.link_only) return result;
  try {
    archive::BuildRequest request = build_request(job, zip::Level::balanced);
    request.older = older_build(job, site.store());
    result.plan = site.builder().plan(request, {});
  } catch (const Error& error) {
    result.error = error;
  }
  return result;
}

}  // namespace

std::size_t dry_run(const config::Config& config, const std::function<void(const PlannedJob&)>& visit) {
  queue::require_current_schema({config.database.dsn, "zipmodule run --dry-run"});
  queue::Worker worker(worker_options(config, {}));
  const Site site(config, archive::Folders::expected);
  const auto jobs = worker.peek(k_jobs_most);
  for (const auto& job : jobs) visit(planned(job, site));
  return jobs.size();
}

}  // namespace zipmodule::run
