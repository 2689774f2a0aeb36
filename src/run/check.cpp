#include "run/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <optional>

#include "archive/audit.hpp"
#include "base/error.hpp"
#include "base/file_lock.hpp"
#include "queue/deliveries.hpp"
#include "queue/migrations.hpp"
#include "queue/reader.hpp"
#include "run/check_database.hpp"
#include "run/housekeeping.hpp"
#include "run/identity.hpp"
#include "run/job.hpp"
#include "run/metrics.hpp"
#include "run/ping.hpp"
#include "run/site.hpp"
#include "run/target_place.hpp"
#include "storage/local_root.hpp"
#include "tree/probe.hpp"

namespace zipmodule::run {
namespace {

using Level = CheckResult::Level;

// From there on a clock is told to be wrong.
constexpr double k_clock_seconds = 60;

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
          fmt::format("PostgreSQL {}, schema {}, {} pending, {} waiting, {} running, {} failed, {} delivering",
                      health.server_version / 10'000, queue::known_schema_version(), health.pending, health.waiting,
                      health.running, health.failed, health.delivering),
          {},
          {}};
}

// That the folder can be opened is all there is to know: more than one name, or a folder in it, ends the walk.
void require_listable(const storage::Root& root) {
  class Nobody final : public storage::Visitor {
    void found(const std::string& /*path*/, const storage::FileStatus& /*status*/) override {}
    void problem(const std::string& /*path*/, const Error& /*error*/) override {}
  } nobody;
  try {
    root.walk("", {1, 1, 1}, {}, nobody);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::limit) throw;
  }
}

// Reaches the host, logs in, and looks at the folder.
CheckResult check_remote_root(const config::Config& config, const std::string& name, const config::Place& place) {
  const auto root = root_place(config, name, place).for_attempt({});
  if (root->status("", {}).type != storage::FileType::directory) {
    throw Error(ErrorKind::source_type, fmt::format("{} is not a folder", to_string(place)));
  }
  if (std::holds_alternative<config::SftpPlace>(place)) require_listable(*root);
  return {Level::ok, "", fmt::format("{} can be reached", to_string(place)), {}, {}};
}

// Whether it is the place that archives were delivered to before.
std::optional<Error> place_problem_of(const config::Config& config, storage::Target& opened,
                                      const config::Target& target) {
  const std::string store = store_id(tree::Tree(config.archives.root));
  queue::Deliveries deliveries(worker_options(config, store));
  const auto place = deliveries.place(opened.name(), place_key(store, target.place));
  return place_problem(opened, {place.database, place.marker, deliveries.delivered(opened.name(), 10)}, {});
}

// Reaches it, logs in, and tries out a delivery on a small scale.
CheckResult check_target(const config::Config& config, const std::string& name, const config::Target& target) {
  const auto opened = open_target(name, target, access_of(config.archives));
  // First: the folder below a disk that is not mounted can often not be written either.
  if (const auto problem = place_problem_of(config, *opened, target)) throw Error(*problem);
  const auto condition = opened->probe({});
  std::string detail = fmt::format("{} can be written", to_string(target.place));
  if (condition.free_bytes) detail += fmt::format(", {} bytes free", *condition.free_bytes);
  if (condition.clock_ahead_seconds) detail += ", " + storage::clock_text(*condition.clock_ahead_seconds);
  if (std::abs(condition.clock_ahead_seconds.value_or(0)) > k_clock_seconds) {
    return {Level::warning, "", detail, "set the clocks: beyond 15 minutes it refuses what we sign", {}};
  }
  return {Level::ok, "", detail, {}, {}};
}

CheckResult check_root(const config::Config& config, const std::string& name, const config::Place& place) {
  if (!std::holds_alternative<std::filesystem::path>(place)) return check_remote_root(config, name, place);
  const auto& folder = std::get<std::filesystem::path>(place);
  root_place(config, name, place).for_attempt({});
  // Opening it for reading is what a run needs; the walk itself could take hours here.
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd)
    throw Error(ErrorKind::source_unreadable, fmt::format("open {}: {}", folder.string(), errno_text(errno)),
                "give the user that runs zipmodule the right to read it");
  return {Level::ok, "", fmt::format("{} can be read", folder.string()), {}, {}};
}

// Looks only: a folder made here would belong to whoever checks.
archive::Store open_store(const config::Config& config) {
  return {config.archives.root, config.archives.min_free_bytes, access_of(config.archives), archive::Folders::expected};
}

// Root may write everywhere, and its check says nothing about the user that runs zipmodule.
std::optional<CheckResult> tried_as_root(const std::filesystem::path& root) {
  struct stat s {};
  if (::geteuid() != 0 || ::stat(root.c_str(), &s) != 0 || s.st_uid == 0) return std::nullopt;
  return CheckResult{Level::warning,
                     "",
                     fmt::format("{} can be written by root, but belongs to user {}", root.string(), s.st_uid),
                     fmt::format("check as who runs zipmodule: sudo -u '#{}' zipmodule check", s.st_uid),
                     {}};
}

CheckResult check_store(const config::Config& config, tree::Probe& probed) {
  const auto& root = config.archives.root;
  probed = tree::try_out(root);
  if (const auto warning = tried_as_root(probed.existing)) return *warning;
  std::string missing;
  for (const auto& folder : probed.missing)
    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", folder.string());
  return {Level::ok,
          "",
          missing.empty() ? fmt::format("{} can be written, synced and renamed in", root.string())
                          : fmt::format("{} can be written; not there yet, the first run creates: {}",
                                        probed.existing.string(), missing),
          {},
          {}};
}

CheckResult check_space(const config::Config& config, const std::filesystem::path& existing) {
  const auto free = tree::Tree(existing).free_bytes();
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
  // The store's own lock: who can't open it can't run either. Its holder is a run whose other lock is told here.
  std::error_code ignored;
  if (std::filesystem::exists(config.archives.root, ignored)) FileLock::probe(open_store(config).lock_path());
  const auto& path = config.run.lock_file;
  switch (FileLock::probe(path)) {
    case FileLock::State::absent:
      return {Level::ok, "", fmt::format("{} is free; the first run creates it", path.string()), {}, {}};
    case FileLock::State::free:
      return {Level::ok, "", fmt::format("{} is free", path.string()), {}, {}};
    case FileLock::State::held:
      break;
  }
  const std::string by = FileLock::holder(path);
  const bool by_a_run = by.find("no run of zipmodule") == std::string::npos;
  const std::string holder = fmt::format("{} is held{}: {}", path.string(), by_a_run ? " by a run" : "", by);
  // Uploads under way may keep a run longer than its time; not by as much again.
  const auto held_for = FileLock::held_for(path);
  if (held_for && *held_for > 2 * config.run.max_runtime + config.run.linger) {
    return {Level::warning,
            "",
            fmt::format("{}, for {} s: longer than a run may last", holder, held_for->count()),
            "look what that process does; ended, it frees the lock, and the next run goes on",
            {}};
  }
  return {Level::ok, "", holder, {}, {}};
}

CheckResult check_metrics(const std::filesystem::path& file) {
  try_metrics(file);
  if (file.extension() != ".prom") {
    return {Level::warning,
            "",
            fmt::format("{} can be written, but the node exporter reads files that end in .prom only", file.string()),
            "let the name in run.metrics_file end in .prom",
            {}};
  }
  return {Level::ok, "", fmt::format("{} can be written", file.string()), {}, {}};
}

// Nobody is called: a ping says that a run began or ended.
CheckResult check_ping(const std::string& url) {
  ping_address(url, Signal::start);
  return {Level::ok, "", fmt::format("runs call {}; nothing was sent now", redacted_ping_url(url)), {}, {}};
}

// Calls visit(StoredBuild) for all current builds of this store; returns how many.
template <class Visit>
std::size_t for_each_current(queue::Worker& worker, Visit visit) {
  constexpr std::size_t k_batch = 1'000;
  std::size_t seen = 0;
  std::string cursor;
  for (;;) {
    const auto builds = worker.builds_after(cursor, k_batch);
    for (const auto& stored : builds) visit(stored);
    seen += builds.size();
    if (builds.size() < k_batch) return seen;
    cursor = builds.back().build.build_id;
  }
}

// What is wrong with archives, as one line: all are counted, the first are named.
class Findings {
 public:
  void add(const queue::StoredBuild& stored, const std::string& problem) {
    constexpr std::size_t k_named = 20;
    if (++count_ <= k_named) names_ += fmt::format("; {}/{}: {}", stored.series, stored.archive, problem);
  }
  bool none() const noexcept { return count_ == 0; }
  CheckResult as_problem(std::size_t seen, const std::string& are, const std::string& hint) const {
    return {Level::problem, "", fmt::format("{} of {} {}{}", count_, seen, are, names_), hint, ErrorKind::corrupt};
  }

 private:
  std::size_t count_ = 0;
  std::string names_;
};

// A run that is at work replaces builds while they are looked at here.
std::optional<queue::StoredBuild> still_current(queue::Worker& worker, const queue::StoredBuild& stored) {
  auto current = worker.current(stored.job_id);
  if (!current || current->build.build_id != stored.build.build_id) return std::nullopt;
  return current;
}

CheckResult check_identity(const config::Config& config) {
  const archive::Store store = open_store(config);
  const std::string id = store_id(store.tree());
  queue::Worker worker(worker_options(config, id));
  const StoreState state = look_at_store(store.tree(), worker);
  if (const auto error = refusal(state, store.tree())) throw Error(*error);
  if (state.standing == Standing::fresh) {
    const auto elsewhere = worker.builds_elsewhere(id);
    const std::string detail = "it has no identity yet: the first run gives it one";
    if (elsewhere.empty()) return {Level::ok, "", detail, {}, {}};
    return {Level::warning,
            "",
            fmt::format("{}; the database knows archives in {}", detail, elsewhere),
            "where this host is that one under a new name, its store is not mounted: mount it before a run",
            {}};
  }
  return {Level::ok, "", fmt::format("{} is store {} of this database", store.root().string(), id), {}, {}};
}

// What only the disk knows.
CheckResult check_unknown(const config::Config& config) {
  const archive::Store store = open_store(config);
  queue::Worker worker(worker_options(config, store_id(store.tree())));
  constexpr std::size_t k_named = 20;
  std::size_t linked = 0;
  std::size_t others = 0;
  std::string names;
  for (const UnknownBuild& build : look_for_unknown(store, worker, config.archives.grace)) {
    if (build.public_name.empty()) {
      ++others;
    } else if (++linked <= k_named) {
      names += fmt::format("; {}: {}", build.public_name, build_path(build.build_id));
    }
  }
  if (linked > 0) {
    return {Level::warning,
            "",
            fmt::format("{} public names lead to builds that the database does not know{}", linked, names),
            "they stay until their archives are published again",
            {}};
  }
  if (others == 0) return {Level::ok, "", "the database knows all that lies in builds/", {}, {}};
  return {Level::ok,
          "",
          fmt::format("{} files in builds/ are unknown to the database; runs remove them once they are older than "
                      "archives.grace, 'zipmodule store sweep' all at once",
                      others),
          {},
          {}};
}

std::string link_problem(const std::filesystem::path& link) {
  std::error_code error;
  const std::string target = std::filesystem::read_symlink(link, error).string();
  constexpr std::string_view k_up = "../../";
  if (error) return "its link is gone";
  return "its link leads to " + (target.starts_with(k_up) ? target.substr(k_up.size()) : target);
}

CheckResult check_links(const config::Config& config) {
  const archive::Store store = open_store(config);
  queue::Worker worker(worker_options(config, store_id(store.tree())));
  Findings wrong;
  const auto seen = for_each_current(worker, [&](const queue::StoredBuild& stored) {
    const auto target = store.tree().link_target(stored.series, stored.archive);
    if (target == stored.build.build_id) return;
    const auto current = still_current(worker, stored);
    if (!current || current->awaits_link) return;
    wrong.add(stored, link_problem(store.root() / public_path(stored.series, stored.archive)));
  });
  if (wrong.none()) return {Level::ok, "", fmt::format("{} links lead to their builds", seen), {}, {}};
  return wrong.as_problem(seen, "links are wrong", "the next 'zipmodule run' switches them");
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
  const archive::Store store = open_store(config);
  queue::Worker worker(worker_options(config, store_id(store.tree())));
  ThreadPool pool(config.run.threads);
  Findings damaged;
  const auto seen = for_each_current(worker, [&](const queue::StoredBuild& stored) {
    const auto& build = stored.build;
    const auto result = audit_or_problem(store, {stored_file(build), build.fingerprint}, deep, pool);
    if (!result.good && still_current(worker, stored)) damaged.add(stored, result.problem);
  });
  if (!damaged.none()) {
    return damaged.as_problem(seen, "archives are damaged", "the next 'zipmodule run' builds them again");
  }
  return {Level::ok,
          "",
          fmt::format("{} archives are {}", seen, deep ? "whole, every byte" : "there and untouched"),
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
  for (const auto& [name, target] : config.archives.deliver) {
    probe(results, "target " + name,
          [&, &its_name = name, &its_target = target] { return check_target(config, its_name, its_target); });
  }
  tree::Probe probed;
  probe(results, "store", [&] { return check_store(config, probed); });
  const bool store = results.back().level != Level::problem;
  if (database) probe(results, "identity", [&] { return check_identity(config); });
  if (database && store) probe(results, "links", [&] { return check_links(config); });
  if (database && store && probed.missing.empty()) probe(results, "unknown", [&] { return check_unknown(config); });
  if (store) probe(results, "space", [&] { return check_space(config, probed.existing); });
  probe(results, "lock", [&] { return check_lock(config); });
  if (config.run.metrics_file) probe(results, "metrics", [&] { return check_metrics(*config.run.metrics_file); });
  if (!config.run.ping_url.empty()) probe(results, "ping", [&] { return check_ping(config.run.ping_url); });
  if (database) probe(results, "queue", [&] { return check_queue(config); });
  if (database) probe(results, "stores", [&] { return check_stores(config); });
  if (database) probe(results, "tables", [&] { return check_tables(config); });
  if (database) probe(results, "vacuum", [&] { return check_vacuum(config); });
  if (database && store) probe(results, "builds", [&] { return check_builds(config, deep); });
  return results;
}

}  // namespace zipmodule::run
