#include "run/site.hpp"

#include <fmt/format.h>
#include <grp.h>

#include <limits>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "config/units.hpp"
#include "storage/https_root.hpp"
#include "storage/local_root.hpp"
#include "storage/local_target.hpp"
#include "storage/s3_root.hpp"
#include "storage/s3_target.hpp"
#include "storage/sftp_root.hpp"
#include "storage/sftp_target.hpp"

namespace zipmodule::run {

namespace {

// Of the memory for bytes in flight, what those of one host may take: one that stands still leaves the others theirs.
constexpr std::uint64_t k_window_part = 2;

storage::SftpOptions sftp_options(const config::SftpPlace& place) {
  storage::SftpOptions options;
  options.host = place.host;
  options.port = place.port;
  options.user = place.user;
  options.key = place.key;
  if (!place.known_hosts.empty()) options.known_hosts = {place.known_hosts};
  options.sessions = place.sessions;
  options.timeout = place.timeout;
  return options;
}

storage::HttpsOptions https_options(const config::HttpsPlace& place) {
  storage::HttpsOptions options;
  options.ca = place.ca;
  options.redirects = place.redirects;
  options.connections = place.sessions;
  options.timeout = place.timeout;
  return options;
}

storage::S3Options s3_options(const config::S3Place& place) {
  storage::S3Options options;
  options.bucket = place.bucket;
  options.prefix = place.prefix;
  options.endpoint = place.endpoint;
  options.region = place.region;
  // What is not Amazon's seldom has a name for each bucket.
  options.path_style = place.style == "path" || (place.style == "auto" && !place.endpoint.empty());
  options.profile = place.profile;
  options.credentials_file = place.credentials;
  options.ca = place.ca;
  options.connections = place.sessions;
  options.timeout = place.timeout;
  return options;
}

}  // namespace

storage::RootPlace root_place(const config::Config& config, const std::string& name, const config::Place& place) {
  const auto found = config.content.markers.find(name);
  const std::string marker = found == config.content.markers.end() ? std::string() : found->second;
  if (const auto* sftp = std::get_if<config::SftpPlace>(&place)) {
    return {std::make_shared<storage::SftpRoot>(name, sftp_options(*sftp), sftp->folder,
                                                config.run.memory_bytes / k_window_part),
            marker};
  }
  if (const auto* https = std::get_if<config::HttpsPlace>(&place)) {
    return {std::make_shared<storage::HttpsRoot>(name, https->url, https_options(*https),
                                                 config.run.memory_bytes / k_window_part),
            marker};
  }
  if (const auto* s3 = std::get_if<config::S3Place>(&place)) {
    return {std::make_shared<storage::S3Root>(name, s3_options(*s3), config.run.memory_bytes / k_window_part), marker};
  }
  const auto open = [name, folder = std::get<std::filesystem::path>(place), store = config.archives.root] {
    return std::make_shared<const storage::LocalRoot>(name, folder, store);
  };
  return storage::RootPlace(open, marker);
}

std::unique_ptr<storage::Target> open_target(const std::string& name, const config::Target& target,
                                             const tree::Access& access) {
  if (const auto* sftp = std::get_if<config::SftpPlace>(&target.place)) {
    return std::make_unique<storage::SftpTarget>(name, sftp_options(*sftp), sftp->folder, target.read_back,
                                                 access.mode);
  }
  if (const auto* s3 = std::get_if<config::S3Place>(&target.place)) {
    return std::make_unique<storage::S3Target>(name, s3_options(*s3));
  }
  return std::make_unique<storage::LocalTarget>(name, std::get<std::filesystem::path>(target.place), access);
}

archive::Roots root_places(const config::Config& config) {
  archive::Roots roots;
  for (const auto& [name, place] : config.content.roots) {
    try {
      roots.emplace(name, root_place(config, name, place));
    } catch (const Error& error) {
      log::warn("{}", error.full_text());
      // Jobs that don't need it go on.
      roots.emplace(name,
                    storage::RootPlace([error]() -> std::shared_ptr<const storage::Root> { throw Error(error); }));
    }
  }
  return roots;
}

archive::PlanOptions plan_options(const config::Config& config) {
  archive::PlanOptions options;
  options.max_entries = config.limits.max_entries;
  options.max_bytes = config.limits.max_bytes;
  options.max_depth = config.limits.max_depth;
  options.on_duplicate = config.zip.on_duplicate == "fail" ? zip::OnDuplicate::fail : zip::OnDuplicate::rename;
  options.portable_names = config.zip.portable_names;
  options.exclude = std::make_shared<storage::Exclusion>(config.zip.exclude);
  options.host = config.run.host;
  return options;
}

// A run's statements take milliseconds and wait for no row; a run that is stopped in the middle of a transaction keeps
// its locks from all others. Half of the default lease: the statement is repeated while the lease lives.
constexpr queue::SessionLimits k_session_limits{std::chrono::seconds(30), std::chrono::seconds(10),
                                                std::chrono::seconds(30)};

queue::ConnectionOptions connection_options(const config::Config& config) {
  return {config.database.dsn, "zipmodule run", k_session_limits};
}

tree::Access access_of(const config::Archives& archives) {
  tree::Access access;
  access.mode = archives.mode;
  if (archives.group.empty()) return access;
  const auto number = config::parse_whole_number(archives.group);
  if (number && *number <= std::numeric_limits<gid_t>::max()) {
    access.group = static_cast<gid_t>(*number);
    return access;
  }
  std::vector<char> buffer(std::size_t{16} << 10U);
  group entry{};
  group* found = nullptr;
  const int problem = ::getgrnam_r(archives.group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (problem != 0 || found == nullptr) {
    throw Error(ErrorKind::config, fmt::format("archives.group: this host has no group '{}'", archives.group),
                "create it, or name another");
  }
  access.group = entry.gr_gid;
  return access;
}

queue::WorkerOptions worker_options(const config::Config& config, const std::string& store) {
  std::error_code unresolved;
  const auto root = std::filesystem::weakly_canonical(config.archives.root, unresolved);
  queue::WorkerOptions options;
  options.connection = connection_options(config);
  options.host = config.run.host;
  options.instance = store;
  options.path = unresolved ? config.archives.root.string() : root.string();
  options.store = config.archives.store;
  for (const auto& [name, target] : config.archives.deliver)
    options.targets.push_back({name, target.required, address_of(target.place)});
  options.lane_max = config.run.lane_max;
  options.lease = config.run.lease;
  options.max_attempts = config.run.max_attempts;
  return options;
}

namespace {

archive::BuilderOptions builder_options(const config::Config& config) {
  archive::BuilderOptions options;
  options.plan = plan_options(config);
  options.allow_empty = config.zip.allow_empty;
  options.align = config.zip.align == "auto";
  options.verify_reuse = archive::parse_verify_reuse(config.zip.verify_reuse).value_or(archive::VerifyReuse::sample);
  return options;
}

}  // namespace

Site::Site(const config::Config& config, archive::Folders folders)
    : store_(config.archives.root, config.archives.min_free_bytes, access_of(config.archives), folders),
      roots_(root_places(config)),
      budget_(config.run.memory_bytes),
      pool_(config.run.threads),
      builder_(store_, roots_, builder_options(config), {pool_, budget_}) {}

}  // namespace zipmodule::run
