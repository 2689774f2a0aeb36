#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/random_hex.hpp"
#include "base/threads.hpp"
#include "cli/database.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "queue/worker.hpp"

// What the queue alone can do: every job that is due is claimed, committed and released by the statements of a run, and
// nothing is built. For scripts/bench; not shown by --help.
namespace zipmodule::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchArguments {
  bool throwaway = false;
  unsigned batch = 500;
  unsigned connections = 1;
  double seconds = 0;   // 0: until nothing is due
  double every_ms = 0;  // a claim so often, where it is for a time
};

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// One of both ends of a long drain: a tenth of its claims.
double median_of_end(const std::vector<double>& values, bool last) {
  const auto tenth = static_cast<std::ptrdiff_t>((values.size() + 9) / 10);
  return last ? median({values.end() - tenth, values.end()}) : median({values.begin(), values.begin() + tenth});
}

// What one connection did.
struct Drained {
  std::size_t jobs = 0;
  std::vector<double> claim_ms;  // of claims that found something
  std::vector<double> commit_ms;
  std::vector<double> release_ms;
  Clock::time_point last_done;
};

// As a build of a small archive would say.
queue::Completion completion_of(const queue::ClaimedJob& job, std::mt19937_64& random) {
  queue::Completion completion;
  completion.attempt.lease = job.lease;
  completion.attempt.measured.build_seconds = 0.001;
  completion.attempt.measured.files = 5;
  completion.attempt.measured.bytes_in = 50'000;
  completion.attempt.measured.bytes_out = 27'000;
  auto& build = completion.build;
  build.build_id = fmt::format("{:016x}{:016x}", random(), random());
  build.size_bytes = 27'000;
  build.entries = 5;
  build.fingerprint = fmt::format("{:016x}{:016x}", random(), random());
  build.mtime_ns = 1;
  return completion;
}

// Commit and release of all of them, once more of those that a publisher has locked just now.
void settle(queue::Worker& worker, std::int64_t run_id, const std::vector<queue::ClaimedJob>& jobs,
            std::mt19937_64& random, Drained& drained) {
  std::vector<queue::Completion> completions;
  completions.reserve(jobs.size());
  for (const auto& job : jobs) completions.push_back(completion_of(job, random));
  std::vector<queue::Lease> leases;
  while (!completions.empty()) {
    const auto begin = Clock::now();
    const auto held = worker.commit(run_id, completions);
    drained.commit_ms.push_back(ms_since(begin));
    std::vector<queue::Completion> again;
    for (std::size_t i = 0; i < completions.size(); ++i) {
      if (held[i]) leases.push_back(completions[i].attempt.lease);
      if (worker.left_busy()[i]) again.push_back(completions[i]);
    }
    completions = std::move(again);
  }
  while (!leases.empty()) {
    const auto begin = Clock::now();
    const auto held = worker.release(leases);
    drained.release_ms.push_back(ms_since(begin));
    std::vector<queue::Lease> again;
    for (std::size_t i = 0; i < leases.size(); ++i) {
      drained.jobs += held[i] ? 1 : 0;
      if (worker.left_busy()[i]) again.push_back(leases[i]);
    }
    leases = std::move(again);
  }
  drained.last_done = Clock::now();
}

Drained drain(const queue::WorkerOptions& options, std::int64_t run_id, const BenchArguments& arguments,
              Clock::time_point begin) {
  queue::Worker worker(options);
  std::mt19937_64 random{std::random_device{}()};
  Drained drained;
  const auto pace =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(arguments.every_ms));
  auto next = begin;
  for (;;) {
    if (arguments.seconds > 0 && ms_since(begin) >= arguments.seconds * 1000) break;
    std::this_thread::sleep_until(next);
    next = std::max(next + pace, Clock::now());
    const auto before = Clock::now();
    const auto jobs = worker.claim(run_id, arguments.batch);
    if (jobs.empty()) {
      if (arguments.seconds == 0) break;
      continue;
    }
    drained.claim_ms.push_back(ms_since(before));
    settle(worker, run_id, jobs, random, drained);
  }
  return drained;
}

void append(std::vector<double>& to, const std::vector<double>& from) { to.insert(to.end(), from.begin(), from.end()); }

void print_drained(const Globals& globals, const Drained& all, double seconds) {
  if (globals.json) {
    print_json(Json{{"jobs", all.jobs},
                    {"seconds", seconds},
                    {"claims", all.claim_ms.size()},
                    {"claim_ms", median(all.claim_ms)},
                    {"claim_ms_first", median_of_end(all.claim_ms, false)},
                    {"claim_ms_last", median_of_end(all.claim_ms, true)},
                    {"commit_ms", median(all.commit_ms)},
                    {"release_ms", median(all.release_ms)}});
    return;
  }
  print(fmt::format("{} jobs in {:.3f} s, {:.0f} a second; claim {:.2f} ms, commit {:.2f} ms, release {:.2f} ms\n",
                    all.jobs, seconds, seconds > 0 ? static_cast<double>(all.jobs) / seconds : 0, median(all.claim_ms),
                    median(all.commit_ms), median(all.release_ms)));
}

int bench_claim(const Globals& globals, const BenchArguments& arguments) {
  if (!arguments.throwaway) {
    throw Error(ErrorKind::usage, "bench-claim marks jobs done that nobody built",
                "in a database that is thrown away afterwards, give --throwaway");
  }
  log::configure(globals.verbosity);
  queue::WorkerOptions options;
  options.connection = ready_connection(globals, "bench-claim");
  options.host = "bench";
  options.instance = "bench:claim";
  queue::Worker first(options);
  const auto run_id = first.begin_run(::getpid(), version(), random_hex()).run_id;
  std::vector<Drained> parts(arguments.connections);
  const auto begin = Clock::now();
  {
    std::mutex mutex;
    std::exception_ptr failure;
    std::vector<Thread> threads;
    threads.reserve(parts.size());
    for (auto& part : parts) {
      threads.push_back(start_thread("a connection", [&](const std::stop_token&) {
        try {
          part = drain(options, run_id, arguments, begin);
        } catch (...) {
          std::lock_guard lock(mutex);
          failure = std::current_exception();
        }
      }));
    }
    threads.clear();
    if (failure) std::rethrow_exception(failure);
  }
  Drained all;
  all.last_done = begin;
  for (const auto& part : parts) {
    all.jobs += part.jobs;
    append(all.claim_ms, part.claim_ms);
    append(all.commit_ms, part.commit_ms);
    append(all.release_ms, part.release_ms);
    if (part.jobs > 0) all.last_done = std::max(all.last_done, part.last_done);
  }
  first.finish_run(run_id, {all.jobs, all.jobs, 0, "done"});
  print_drained(globals, all, std::chrono::duration<double>(all.last_done - begin).count());
  return 0;
}

}  // namespace

Verb bench_claim_verb(const Globals& globals) {
  auto arguments = std::make_shared<BenchArguments>();
  return {
      .name = "bench-claim",
      .help = "Claim and complete what is due, and build nothing",
      .options =
          {
              {.name = "--throwaway", .value = &arguments->throwaway, .help = "The database is thrown away afterwards"},
              {.name = "--batch", .value = &arguments->batch, .help = "Jobs at once", .range = {{1, 1'000'000}}},
              {.name = "--connections",
               .value = &arguments->connections,
               .help = "At the same time",
               .range = {{1, 64}}},
              {.name = "--seconds",
               .value = &arguments->seconds,
               .help = "Go on so long, not only until nothing is due"},
              {.name = "--every-ms", .value = &arguments->every_ms, .help = "A claim so often"},
          },
      .action = [&globals, arguments] { return bench_claim(globals, *arguments); },
      .hidden = true,
  };
}

}  // namespace zipmodule::cli
