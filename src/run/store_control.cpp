#include "run/store_control.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <limits>
#include <vector>

#include "base/fd.hpp"
#include "base/file_lock.hpp"
#include "base/log.hpp"
#include "base/random_hex.hpp"
#include "queue/deliveries.hpp"
#include "queue/migrations.hpp"
#include "run/housekeeping.hpp"
#include "run/own_store.hpp"
#include "run/site.hpp"
#include "run/target_place.hpp"
#include "zip/reader.hpp"

namespace zipmodule::run {
namespace {

FileLock take_lock(const std::filesystem::path& path) {
  auto lock = FileLock::try_acquire(path);
  if (lock) return std::move(*lock);
  throw Error(ErrorKind::lock_held, fmt::format("{} is held: {}", path.string(), FileLock::holder(path)),
              "wait for that run to end, or stop it");
}

archive::Store open_store(const config::Config& config) {
  return {config.archives.root, config.archives.min_free_bytes, access_of(config.archives), archive::Folders::expected};
}

// The store, and nobody else at work there.
class Locked {
 public:
  explicit Locked(const config::Config& config) : store_(open_store(config)) {
    require_own_store(config.archives.root);
    run_lock_.emplace(take_lock(config.run.lock_file));
    queue::require_current_schema(connection_options(config));
    store_.tree().make_folders();
    store_lock_.emplace(take_lock(store_.lock_path()));
  }
  const archive::Store& store() const noexcept { return store_; }

 private:
  archive::Store store_;
  std::optional<FileLock> run_lock_;
  std::optional<FileLock> store_lock_;
};

void write_marker(const tree::Tree& tree, const std::string& store, const std::string& database) {
  // Neither a last run nor one that built: what the database knows counts.
  tree.write_marker(tree::k_store_marker, to_text(tree::StoreMarker{store, database, {}, {}, {}, 0}));
}

struct Summary {
  std::uint64_t entries = 0;
  std::string fingerprint;
};

// What a commit would have said of the build.
Summary summary_of(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) throw Error(ErrorKind::io, fmt::format("open {}: {}", path, errno_text(errno)));
  const zip::ArchiveFile file = zip::open_archive(fd.get(), path);
  zip::CentralDirectory directory(file, zip::read_end_record(file));
  Summary summary;
  while (directory.next()) ++summary.entries;
  summary.fingerprint = directory.fingerprint();
  return summary;
}

// Makes the database know what the public names lead to.
void learn_builds(const archive::Store& store, queue::Worker& worker, const std::stop_token& stop, Adopted& adopted) {
  std::vector<tree::Link> links;
  store.tree().for_each_link([&](const tree::Link& link) { links.push_back(link); });
  for (const tree::Link& link : links) {
    if (stop.stop_requested()) throw Error(ErrorKind::stopped, "adopting was stopped");
    const auto file = store.tree().find(link.build_id);
    if (!file || !worker.known_builds({link.build_id}).empty()) continue;
    const std::string path = store.absolute(link.build_id);
    try {
      const Summary summary = summary_of(path);
      const queue::BuildRecord build{link.build_id, file->size_bytes, summary.entries, summary.fingerprint,
                                     file->mtime_ns};
      ++(worker.adopt_build(link.series, link.archive, build) ? adopted.learned : adopted.unknown);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::database) throw;
      log::warn("{}/{} is left as it is: {}", link.series, link.archive, error.what());
      ++adopted.unknown;
    }
  }
}

}  // namespace

StoreView show_store(const config::Config& config) {
  const archive::Store store = open_store(config);
  queue::require_current_schema(connection_options(config));
  queue::Worker worker(worker_options(config, {}));
  StoreView view{look_at_store(store.tree(), worker), {}};
  view.refusal = refusal(view.state, store.tree());
  return view;
}

Adopted adopt_store(const config::Config& config, const std::stop_token& stop) {
  const Locked locked(config);
  const archive::Store& store = locked.store();
  queue::Worker looking(worker_options(config, {}));
  const StoreState state = look_at_store(store.tree(), looking);
  Adopted adopted;
  adopted.store = !state.marker.store.empty()     ? state.marker.store
                  : !state.known.at_place.empty() ? state.known.at_place
                                                  : random_hex();
  queue::Worker worker(worker_options(config, adopted.store));
  if (state.standing == Standing::database_behind || state.standing == Standing::foreign) {
    worker.skip_tokens();
    learn_builds(store, worker, stop, adopted);
  }
  worker.adopt_store();
  write_marker(store.tree(), adopted.store, state.known.database);
  return adopted;
}

std::string renew_store(const config::Config& config, bool database) {
  const Locked locked(config);
  queue::Worker worker(worker_options(config, {}));
  const std::string database_id = database ? worker.renew_database() : worker.identify("").database;
  const std::string store = random_hex();
  write_marker(locked.store().tree(), store, database_id);
  return store;
}

std::size_t sweep_store(const config::Config& config) {
  const Locked locked(config);
  const tree::Tree& tree = locked.store().tree();
  queue::Worker worker(worker_options(config, store_id(tree)));
  const StoreState state = look_at_store(tree, worker);
  if (const auto error = refusal(state, tree)) throw Error(*error);
  return sweep(locked.store(), worker, config.archives.grace, std::numeric_limits<std::size_t>::max()).removed;
}

void adopt_target(const config::Config& config, const std::string& name, const std::stop_token& stop) {
  const auto found = config.archives.deliver.find(name);
  if (found == config.archives.deliver.end()) {
    throw Error(ErrorKind::usage, fmt::format("archives.deliver has no target '{}'", name),
                "see zipmodule check-config -v");
  }
  const Locked locked(config);
  const std::string store = store_id(locked.store().tree());
  queue::Deliveries deliveries(worker_options(config, store));
  const std::string place = place_key(store, found->second.place);
  const auto target = open_target(name, found->second, access_of(config.archives));
  const std::string marker = adopt_place(*target, deliveries.place(name, place).database, stop);
  deliveries.note_place(name, place, marker);
  deliveries.forget_copies(name);
}

}  // namespace zipmodule::run
