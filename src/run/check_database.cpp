#include "run/check_database.hpp"

#include <fmt/format.h>

#include <string>

#include "queue/reader.hpp"
#include "queue/upkeep.hpp"

namespace zipmodule::run {
namespace {

using Level = CheckResult::Level;

// As many as vacuum lets come together on a table of half a million archives; below, no query is slower for them.
constexpr std::int64_t k_many_dead = 10'000;
// A slot or standby has no age in seconds. A quarter of an hour at a thousand transactions a second.
constexpr std::int64_t k_far_behind = 1'000'000;

queue::Upkeep upkeep_of(const config::Config& config) {
  return queue::Upkeep({config.database.dsn, "zipmodule check"});
}

std::string named(const queue::VacuumHolder& holder) {
  std::string text = fmt::format("{} {}", holder.kind, holder.name);
  if (!holder.user.empty()) text += " of " + holder.user;
  if (!holder.application.empty()) text += fmt::format(" ({})", holder.application);
  return holder.seconds ? fmt::format("{} for {:.0f} s", text, *holder.seconds)
                        : fmt::format("{} by {} transactions", text, holder.transactions);
}

}  // namespace

CheckResult check_queue(const config::Config& config) {
  const auto health = queue::Reader({config.database.dsn, "zipmodule check"}).health();
  if (health.oldest_due_seconds > static_cast<double>(config.check.late.count())) {
    return {Level::warning,
            "",
            fmt::format("the oldest due job has been waiting for {:.0f} s", health.oldest_due_seconds),
            "look whether cron starts 'zipmodule run' and what it mails",
            {}};
  }
  if (health.oldest_delivery_seconds > static_cast<double>(config.check.late.count())) {
    return {Level::warning,
            "",
            fmt::format("{} deliveries are to be made, the oldest for {:.0f} s", health.undelivered,
                        health.oldest_delivery_seconds),
            "see why in the view zipmodule.delivery_status",
            {}};
  }
  if (health.failed > 0) {
    return {Level::warning,
            "",
            fmt::format("{} jobs are failed", health.failed),
            "see 'zipmodule status' and 'zipmodule explain SERIES ARCHIVE'",
            {}};
  }
  return {Level::ok, "", "no job or delivery is late, and no job failed", {}, {}};
}

CheckResult check_stores(const config::Config& config) {
  const auto stores = queue::Reader({config.database.dsn, "zipmodule check"}).stores_without_host();
  if (stores.empty()) return {Level::ok, "", "no due job waits for a store that no host has", {}, {}};
  std::string names;
  for (const auto& [store, jobs] : stores)
    names += fmt::format("{} '{}' ({} {})", names.empty() ? "" : ",", store, jobs, jobs == 1 ? "job" : "jobs");
  return {Level::warning,
          "",
          "due jobs wait for stores that no host has:" + names,
          "set archives.store on the host that is to build them, or publish them for another store or for none",
          {}};
}

CheckResult check_tables(const config::Config& config) {
  const auto table = upkeep_of(config).hot_table();
  const auto detail =
      fmt::format("zipmodule.job has {} live and {} dead rows, {} bytes; last vacuumed {}", table.live, table.dead,
                  table.bytes, table.vacuumed_seconds ? fmt::format("{:.0f} s ago", *table.vacuumed_seconds) : "never");
  if (table.dead <= k_many_dead || table.dead <= table.live) return {Level::ok, "", detail, {}, {}};
  return {Level::warning,
          "",
          detail,
          "look at the line 'vacuum', and whether autovacuum is on and keeps up; VACUUM zipmodule.job mends it once "
          "nothing holds it back",
          {}};
}

CheckResult check_vacuum(const config::Config& config) {
  auto upkeep = upkeep_of(config);
  const auto holders = upkeep.vacuum_holders(config.check.transaction, k_far_behind);
  const auto sessions = upkeep.sessions();
  const std::string unseen =
      sessions.all_seen
          ? ""
          : fmt::format("; sessions of other roles can't be seen (GRANT pg_read_all_stats TO {})", sessions.owner);
  if (holders.empty()) {
    return {Level::ok,
            "",
            fmt::format("nothing has held vacuum back for {} s{}", config.check.transaction.count(), unseen),
            {},
            {}};
  }
  std::string names;
  for (const auto& holder : holders) names += (names.empty() ? "" : "; ") + named(holder);
  return {
      Level::warning,
      "",
      fmt::format("dead rows can't be removed, vacuum is held back: {}{}", names, unseen),
      "end the session (pg_terminate_backend), the prepared transaction (ROLLBACK PREPARED) or the slot that nobody "
      "reads (pg_drop_replication_slot)",
      {}};
}

}  // namespace zipmodule::run
