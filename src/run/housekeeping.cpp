#include "run/housekeeping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "archive/audit.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"

namespace zipmodule::run {
namespace {

constexpr std::size_t k_batch = 1'000;
constexpr std::size_t k_audit_most = 10'000;  // a stat each: 50 ms from a warm cache
constexpr double k_audit_seconds = 60;

void remove_unknown(const archive::Store& store, queue::Worker& worker,
                    std::vector<std::pair<std::string, std::string>>& builds) {
  std::vector<std::string> ids;
  ids.reserve(builds.size());
  for (const auto& [id, path] : builds) ids.push_back(id);
  auto known = worker.known_builds(ids);
  std::sort(known.begin(), known.end());
  for (const auto& [id, path] : builds) {
    if (std::binary_search(known.begin(), known.end(), id)) continue;
    store.remove_build(path);
    log::info("removed {}: built, but never committed", path);
  }
  builds.clear();
}

void sweep_orphans(const archive::Store& store, queue::Worker& worker) {
  std::vector<std::pair<std::string, std::string>> builds;
  store.for_each_build([&](const std::string& id, const std::string& path) {
    builds.emplace_back(id, path);
    if (builds.size() == k_batch) remove_unknown(store, worker, builds);
  });
  if (!builds.empty()) remove_unknown(store, worker, builds);
}

// One archive's trouble on the disk must not keep the run from all others.
template <class What>
void apart(const queue::StoredBuild& stored, What what) {
  try {
    what();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::database || error.kind() == ErrorKind::stopped) throw;
    log::warn("{}/{}: {}", stored.series, stored.archive, error.full_text());
  }
}

void forget_damaged(const archive::Store& store, queue::Worker& worker, std::int64_t run_id,
                    const queue::StoredBuild& stored, const std::string& problem) {
  const auto name = fmt::format("{}/{}", stored.series, stored.archive);
  switch (worker.forget_build(run_id, stored.build.build_id, problem)) {
    case queue::Forgotten::no:
      log::warn("{}: its archive is damaged: {}; its job is locked, the next run looks again", name, problem);
      return;
    case queue::Forgotten::cancelled:
      log::warn(
          "{}: its archive is damaged: {}; its newest publish was cancelled, so nothing builds it again before a "
          "retry or a publish",
          name, problem);
      break;
    case queue::Forgotten::rebuilds:
      log::warn("{}: its archive is damaged: {}; it will be built again", name, problem);
      break;
  }
  store.remove_link(stored.series, stored.archive, stored.build.path);
  store.remove_build(stored.build.path);
}

void audit_one(Site& site, queue::Worker& worker, std::int64_t run_id, const queue::StoredBuild& stored,
               const std::stop_token& stop) {
  const queue::BuildRecord& build = stored.build;
  const archive::Store& store = site.store();
  const auto result = archive::audit_build(store, {build.path, build.size_bytes, build.mtime_ns, build.fingerprint},
                                           false, site.pool(), stop);
  if (!result.good) {
    forget_damaged(store, worker, run_id, stored, result.problem);
    return;
  }
  if (result.new_mtime_ns) worker.note_mtime(build.build_id, *result.new_mtime_ns);
  if (store.link_target(stored.series, stored.archive) != build.path) {
    log::info("{}/{}: its link was gone or wrong; repaired", stored.series, stored.archive);
    store.switch_link(stored.series, stored.archive, build.path);
  }
}

}  // namespace

void refuse_unmounted(const archive::Store& store, queue::Worker& worker) {
  if (store.has_marker() || worker.builds_after("", 1).empty()) return;
  throw Error(ErrorKind::store_unwritable,
              fmt::format("{} has no file .zipmodule.store, but archives were built in it", store.root().string()),
              "mount its disk; if the archives are lost for good, create that file and they are built again");
}

void require_mounted(const archive::Store& store, queue::Worker& worker) {
  refuse_unmounted(store, worker);
  if (!store.has_marker()) store.write_marker();
}

void recover(Site& site, queue::Worker& worker, const queue::Worker::Begun& begun) {
  const auto ended = worker.recover(begun.run_id);
  if (ended > 0) log::info("{} leases of an earlier run were ended", ended);
  const auto swept = site.store().sweep_temporaries();
  if (swept > 0) log::info("{} temporary files of an earlier run were removed", swept);
  if (!begun.previous_clean) sweep_orphans(site.store(), worker);
}

void audit(Site& site, queue::Worker& worker, std::int64_t run_id, const std::stop_token& stop) {
  Stopwatch watch;
  std::string cursor = worker.audit_cursor();
  const std::string began_at = cursor;
  for (std::size_t audited = 0; audited < k_audit_most;) {
    const auto builds = worker.builds_after(cursor, k_batch);
    for (const auto& stored : builds) {
      if (stop.stop_requested() || watch.seconds() > k_audit_seconds) break;
      apart(stored, [&] { audit_one(site, worker, run_id, stored, stop); });
      cursor = stored.build.build_id;
      ++audited;
    }
    if (stop.stop_requested() || watch.seconds() > k_audit_seconds) break;
    if (builds.size() < k_batch) {
      cursor.clear();
      break;
    }
  }
  if (cursor != began_at) worker.set_audit_cursor(cursor);
}

std::size_t collect_garbage(const archive::Store& store, queue::Worker& worker, std::chrono::seconds grace,
                            const std::stop_token& stop) {
  std::size_t removed = 0;
  while (!stop.stop_requested()) {
    const auto retired = worker.collect_garbage(grace, k_batch);
    if (retired.empty()) break;
    std::vector<std::string> ids;
    for (const auto& stored : retired) {
      apart(stored, [&] {
        // Where another host has built the archive since, this one's link still leads here.
        store.remove_link(stored.series, stored.archive, stored.build.path);
        store.remove_build(stored.build.path);
        ids.push_back(stored.build.build_id);
      });
    }
    if (ids.empty()) break;
    worker.remove_builds(ids);
    removed += ids.size();
    log::info("{} replaced builds were removed", ids.size());
  }
  return removed;
}

}  // namespace zipmodule::run
