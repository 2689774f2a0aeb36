#include "run/housekeeping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/audit.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "run/job.hpp"

namespace zipmodule::run {
namespace {

constexpr std::size_t k_batch = 1'000;
constexpr std::size_t k_audit_most = 10'000;  // a stat each: 50 ms from a warm cache
constexpr double k_audit_seconds = 60;
// What goes without anybody asking: a mistake about which database this is must not cost more.
constexpr std::size_t k_swept_most = 10;
constexpr std::chrono::seconds k_sweep_again = std::chrono::hours(1);

tree::Link link_of(const queue::StoredBuild& stored) { return {stored.series, stored.archive, stored.build.build_id}; }

// Builds here that the database does not know, by id.
std::vector<std::string> unknown_builds(const archive::Store& store, queue::Worker& worker) {
  std::vector<std::string> unknown;
  std::vector<std::string> batch;
  const auto look = [&] {
    auto known = worker.known_builds(batch);
    std::sort(known.begin(), known.end());
    std::copy_if(batch.begin(), batch.end(), std::back_inserter(unknown),
                 [&](const std::string& id) { return !std::binary_search(known.begin(), known.end(), id); });
    batch.clear();
  };
  store.for_each_build([&](const std::string& id) {
    batch.push_back(id);
    if (batch.size() == k_batch) look();
  });
  if (!batch.empty()) look();
  return unknown;
}

bool is_young(const archive::Store& store, const std::string& build_id, std::chrono::seconds grace) {
  const auto file = store.tree().find(build_id);
  if (!file) return false;  // what is left is its record
  const auto made = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(file->mtime_ns)));
  return std::chrono::system_clock::now() - made < grace;
}

// One archive's trouble on the disk must not keep the run from all others.
template <class What>
void apart(const queue::StoredBuild& stored, What what) {
  try {
    what();
  } catch (const StoreGone&) {
    throw;
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
  store.tree().remove_link(link_of(stored));
  store.remove_build(stored.build.build_id);
}

void repair_link(const archive::Store& store, queue::Worker& worker, const queue::StoredBuild& stored) {
  const tree::Link link = link_of(stored);
  const auto target = store.tree().link_target(link.series, link.archive);
  if (target == link.build_id) return;
  // As after a restored dump: what was built since stays public until a publish replaces it.
  if (target && store.tree().find(*target) &&
      (store.tree().leads_to_younger(link, stored.build.mtime_ns) || worker.known_builds({*target}).empty())) {
    log::info("{}/{}: its public name leads to a newer build, or one that the database does not know, and stays",
              link.series, link.archive);
    return;
  }
  log::info("{}/{}: its link was gone or wrong; repaired", link.series, link.archive);
  store.tree().switch_link(link);
}

void audit_one(Site& site, const StoreIdentity& identity, queue::Worker& worker, std::int64_t run_id,
               const queue::StoredBuild& stored, const std::stop_token& stop) {
  const archive::Store& store = site.store();
  const auto result =
      archive::audit_build(store, {stored_file(stored.build), stored.build.fingerprint}, false, site.pool(), stop);
  if (!result.good) {
    // A disk that was unmounted meanwhile shows nothing but missing files.
    identity.require_there();
    forget_damaged(store, worker, run_id, stored, result.problem);
    return;
  }
  if (result.new_mtime_ns) worker.note_mtime(stored.build.build_id, *result.new_mtime_ns);
  repair_link(store, worker, stored);
}

}  // namespace

std::vector<UnknownBuild> look_for_unknown(const archive::Store& store, queue::Worker& worker,
                                           std::chrono::seconds grace) {
  std::vector<UnknownBuild> found;
  for (std::string& id : unknown_builds(store, worker)) {
    const bool young = is_young(store, id, grace);
    found.push_back({std::move(id), young, {}});
  }
  if (found.empty()) return found;
  std::map<std::string_view, UnknownBuild*> by_id;
  for (UnknownBuild& build : found) by_id.emplace(build.build_id, &build);
  store.tree().for_each_link([&](const tree::Link& link) {
    const auto it = by_id.find(link.build_id);
    if (it != by_id.end()) it->second->public_name = fmt::format("{}/{}", link.series, link.archive);
  });
  return found;
}

Swept sweep(const archive::Store& store, queue::Worker& worker, std::chrono::seconds grace, std::size_t most) {
  Swept swept;
  for (const UnknownBuild& build : look_for_unknown(store, worker, grace)) {
    if (!build.public_name.empty() || build.young || swept.removed == most) {
      ++swept.left;
      continue;
    }
    store.remove_build(build.build_id);
    ++swept.removed;
    log::warn("removed {}, which the database does not know: it was built and never committed, or its job was removed",
              build_path(build.build_id));
  }
  return swept;
}

void recover(Site& site, queue::Worker& worker, const queue::Worker::Begun& begun, std::chrono::seconds grace) {
  const auto ended = worker.recover(begun.run_id);
  if (ended > 0) log::info("{} leases of an earlier run were ended", ended);
  const auto removed = site.store().tree().sweep_temporaries();
  if (removed > 0) log::info("{} temporary files of an earlier run were removed", removed);
  if (!begun.sweeps) return;
  const Swept swept = sweep(site.store(), worker, grace, k_swept_most);
  worker.note_sweep(swept.left > 0 ? std::optional(k_sweep_again) : std::nullopt);
}

void audit(Site& site, const StoreIdentity& identity, queue::Worker& worker, std::int64_t run_id,
           const std::stop_token& stop) {
  Stopwatch watch;
  std::string cursor = worker.audit_cursor();
  const std::string began_at = cursor;
  for (std::size_t audited = 0; audited < k_audit_most;) {
    const auto builds = worker.builds_after(cursor, k_batch);
    for (const auto& stored : builds) {
      if (stop.stop_requested() || watch.seconds() > k_audit_seconds) break;
      apart(stored, [&] { audit_one(site, identity, worker, run_id, stored, stop); });
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
        store.tree().remove_link(link_of(stored));
        store.remove_build(stored.build.build_id);
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
