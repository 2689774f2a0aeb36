#include "run/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <functional>

#include "archive/audit.hpp"
#include "base/error.hpp"
#include "base/file_lock.hpp"
#include "queue/migrations.hpp"
#include "queue/reader.hpp"
#include "run/site.hpp"

namespace zipmodule::run {
namespace {

using Level = CheckResult::Level;

// Runs one probe; what it throws becomes a problem.
void probe(std::vector<CheckResult>& results, const std::string& name, const std::function<CheckResult()>& what) {
  try {
    CheckResult result = what();
    result.name = name;
    results.push_back(std::move(result));
  } catch (const Error& error) {
    results.push_back({Level::problem, name, error.what(), error.hint(), error.kind()});
  }
}

CheckResult check_database(const config::Config& config) {
  queue::require_current_schema({config.database.dsn, "zipmodule check"});
  queue::Reader reader({config.database.dsn, "zipmodule check"});
  const auto health = reader.health();
  return {Level::ok,
          "",
          fmt::format("PostgreSQL {}, schema {}, {} pending, {} waiting, {} running, {} failed",
                      health.server_version / 10'000, queue::known_schema_version(), health.pending, health.waiting,
                      health.running, health.failed),
          {},
          {}};
}

CheckResult check_queue(const config::Config& config) {
  // Cron starts a run every minute: what has been due for ten has been waiting for something that does not come.
  constexpr double k_late_seconds = 600;
  const auto health = queue::Reader({config.database.dsn, "zipmodule check"}).health();
  if (health.oldest_due_seconds > k_late_seconds) {
    return {Level::warning,
            "",
            fmt::format("the oldest due job has been waiting for {:.0f} s", health.oldest_due_seconds),
            "look whether cron starts 'zipmodule run' and what it mails",
            {}};
  }
  if (health.failed > 0) {
    return {Level::warning,
            "",
            fmt::format("{} jobs are failed", health.failed),
            "see 'zipmodule status' and 'zipmodule explain SERIES ARCHIVE'",
            {}};
  }
  return {Level::ok, "", "no job is late or failed", {}, {}};
}

CheckResult check_root(const config::Config& config, const std::string& name, const std::filesystem::path& folder) {
  const storage::LocalRoot root(name, folder, config.archives.root);
  // Opening it for reading is what a run needs; the walk itself could take hours here.
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd)
    throw Error(ErrorKind::source_unreadable, fmt::format("open {}: {}", folder.string(), errno_text(errno)),
                "give the user that runs zipmodule the right to read it");
  return {Level::ok, "", fmt::format("{} can be read", folder.string()), {}, {}};
}

CheckResult check_store(const config::Config& config) {
  const archive::Store store(config.archives.root, config.archives.min_free_bytes);
  // A build on a small scale: written, synced, renamed, and away again.
  auto temporary = store.create_temporary();
  constexpr std::string_view k_text = "zipmodule check";
  if (!pwrite_full(temporary.fd(), std::as_bytes(std::span(k_text)), 0)) {
    throw store_error(errno, "write " + temporary.path());
  }
  const auto stored = temporary.publish();
  store.remove_build(stored.path);
  return {
      Level::ok, "", fmt::format("{} can be written, synced and renamed in", config.archives.root.string()), {}, {}};
}

CheckResult check_public(const config::Config& config) {
  const auto folder = config.archives.root / "public";
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw store_error(errno, "write " + folder.string());
  return {Level::ok, "", fmt::format("{} can be written", folder.string()), {}, {}};
}

CheckResult check_space(const config::Config& config) {
  const archive::Store store(config.archives.root, config.archives.min_free_bytes);
  const auto free = store.free_bytes();
  const auto detail =
      fmt::format("{} bytes free, {} of them kept by archives.min_free", free, config.archives.min_free_bytes);
  if (free < config.archives.min_free_bytes) {
    return {Level::problem, "", detail, "free space there, shorten archives.grace, or lower archives.min_free",
            ErrorKind::disk_reserve};
  }
  if (free < 2 * config.archives.min_free_bytes) return {Level::warning, "", detail, "the disk is getting full", {}};
  return {Level::ok, "", detail, {}, {}};
}

CheckResult check_lock(const config::Config& config) {
  const auto lock = FileLock::try_acquire(config.run.lock_file);
  const auto path = config.run.lock_file.string();
  if (lock) return {Level::ok, "", fmt::format("{} is free", path), {}, {}};
  return {Level::ok, "", fmt::format("{} is held by a run: {}", path, FileLock::holder(path)), {}, {}};
}

archive::AuditResult audit_or_problem(const archive::Store& store, const archive::ExpectedBuild& expected, bool deep,
                                      ThreadPool& pool) {
  try {
    return archive::audit_build(store, expected, deep, pool, {});
  } catch (const Error& error) {
    return {false, error.what(), std::nullopt};
  }
}

CheckResult check_builds(const config::Config& config, bool deep) {
  constexpr std::size_t k_batch = 1'000;
  constexpr std::size_t k_named = 20;
  const archive::Store store(config.archives.root, config.archives.min_free_bytes);
  ThreadPool pool(config.run.threads);
  queue::Worker worker(worker_options(config));
  std::size_t audited = 0;
  std::size_t bad = 0;
  std::string names;
  std::string cursor;
  for (;;) {
    const auto builds = worker.builds_after(cursor, k_batch);
    for (const auto& stored : builds) {
      const auto& build = stored.build;
      cursor = build.build_id;
      ++audited;
      const auto result =
          audit_or_problem(store, {build.path, build.size_bytes, build.mtime_ns, build.fingerprint}, deep, pool);
      const bool linked = store.link_target(stored.series, stored.archive) == build.path;
      if (result.good && linked) continue;
      if (++bad <= k_named) {
        names += fmt::format("; {}/{}: {}", stored.series, stored.archive,
                             result.good ? "its link is gone or wrong" : result.problem);
      }
    }
    if (builds.size() < k_batch) break;
  }
  if (bad > 0) {
    return {Level::problem, "", fmt::format("{} of {} archives are damaged{}", bad, audited, names),
            "the next 'zipmodule run' builds them again", ErrorKind::corrupt};
  }
  return {Level::ok,
          "",
          fmt::format("{} archives are {}", audited, deep ? "whole, every byte" : "there, untouched and linked"),
          {},
          {}};
}

}  // namespace

std::vector<CheckResult> check(const config::Config& config, bool deep) {
  std::vector<CheckResult> results;
  probe(results, "database", [&] { return check_database(config); });
  const bool database = results.back().level == Level::ok;
  for (const auto& [name, folder] : config.content.roots) {
    probe(results, "root " + name,
          [&, &root_name = name, &root_folder = folder] { return check_root(config, root_name, root_folder); });
  }
  probe(results, "store", [&] { return check_store(config); });
  const bool store = results.back().level == Level::ok;
  if (store) {
    probe(results, "links", [&] { return check_public(config); });
    probe(results, "space", [&] { return check_space(config); });
  }
  probe(results, "lock", [&] { return check_lock(config); });
  if (database) probe(results, "queue", [&] { return check_queue(config); });
  if (database && store) probe(results, "builds", [&] { return check_builds(config, deep); });
  return results;
}

}  // namespace zipmodule::run
