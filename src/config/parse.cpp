#include "config/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>

#include "config/read_place.hpp"
#include "config/section.hpp"

namespace zipmodule::config {
namespace {

using std::chrono::seconds;
namespace fs = std::filesystem;

const std::array<std::string, 4> k_levels{"store", "fast", "balanced", "small"};
const std::array<std::string, 2> k_align{"auto", "off"};
const std::array<std::string, 3> k_verify_reuse{"never", "sample", "always"};
const std::array<std::string, 2> k_on_duplicate{"rename", "fail"};

// A heartbeat goes out every third of a lease: below this, a busy database or a paused machine loses healthy builds.
constexpr seconds k_least_lease{10};
// Enough for one chunk of each of a few threads; less would only make them wait for each other.
constexpr std::uint64_t k_least_memory = std::uint64_t{32} << 20;
// More threads than this is a slip of the finger on any machine there is.
constexpr unsigned k_most_threads = 1024;
// Less would be a slip of the finger that can't be taken back: telemetry answers questions about last week, at least.
constexpr seconds k_least_keep{std::chrono::hours(24)};
// Archives at once are mostly waiting for disks, hence twice the cores; beyond 16 their memory shares get too small.
constexpr unsigned k_least_auto_workers = 2;
constexpr unsigned k_most_auto_workers = 16;

// Of a root or a target.
bool valid_place_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed);
}

void read_database(Section section, Database& to) {
  section.text("dsn", to.dsn);
  section.finish();
}

// Where the roots and the store were named, for what can only be judged when both are known.
struct Places {
  std::map<std::string, int> root_lines;
  std::map<std::string, int> target_lines;
  int archives_line = 0;
};

void read_content(Section section, Content& to, Places& places) {
  Section roots = section.section("roots");
  for (const auto& entry : roots.entries()) {
    if (!valid_place_name(entry.key)) {
      roots.problem_at(entry.line, entry.key, "a root's name has 1 to 64 letters, digits, '_', '.' or '-'");
    }
    std::string marker;
    if (auto place = read_place(roots, entry, marker)) {
      to.roots[entry.key] = std::move(*place);
      if (!marker.empty()) to.markers[entry.key] = marker;
      places.root_lines[entry.key] = entry.line;
    }
  }
  if (roots.entries().empty() && !roots.malformed()) {
    section.missing("roots", "name at least one folder to read from, such as default: /srv/content");
  }
  section.finish();
}

void read_deliver(Section targets, Archives& to, Places& places) {
  for (const auto& entry : targets.entries()) {
    if (!valid_place_name(entry.key)) {
      targets.problem_at(entry.line, entry.key, "a target's name has 1 to 64 letters, digits, '_', '.' or '-'");
    }
    if (auto target = read_target(targets, entry)) {
      to.deliver[entry.key] = std::move(*target);
      places.target_lines[entry.key] = entry.line;
    }
  }
}

void read_mode(Section& section, unsigned& to) {
  std::string text;
  section.text("mode", text);
  if (text.empty()) return;
  unsigned mode = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  const bool number = problem == std::errc() && end == text.data() + text.size() && text.size() <= 5;
  if (number && (mode & 0600U) == 0600U && (mode & ~0666U) == 0)
    to = mode;
  else
    section.problem_at(section.line_of("mode"), "mode",
                       "must be an octal mode that lets its owner read and write, such as 0644 or 0640");
}

void read_archives(Section section, Archives& to, Places& places) {
  section.absolute_path("root", to.root);
  if (!section.has("root")) section.missing("root", "name the folder to build archives in, such as /srv/archives");
  places.archives_line = section.line_of("root");
  section.text("store", to.store);
  section.duration("grace", to.grace, seconds(0));
  section.size("min_free", to.min_free_bytes, 0);
  read_mode(section, to.mode);
  section.text("group", to.group);
  read_deliver(section.section("deliver"), to, places);
  section.finish();
}

void read_optional_path(Section& section, const std::string& key, std::optional<fs::path>& to) {
  if (section.is_null(key)) return;
  fs::path file;
  section.absolute_path(key, file);
  if (!file.empty()) to = file;
}

// A scheme that is called, a host, and nothing that a request line can't hold. Never quoted: it may be a secret.
bool valid_ping_url(const std::string& url) {
  const auto host = url.starts_with("https://") ? 8U : 7U;
  if (!url.starts_with("https://") && !url.starts_with("http://")) return false;
  const auto printable = [](char c) { return c > ' ' && c < '\x7f'; };
  return url.size() > host && url[host] != '/' && std::all_of(url.begin(), url.end(), printable);
}

void read_ping_url(Section& section, Run& to) {
  if (section.is_null("ping_url")) return;
  std::string url;
  section.text("ping_url", url);
  if (url.empty()) return;
  if (valid_ping_url(url))
    to.ping_url = url;
  else
    section.problem_at(section.line_of("ping_url"), "ping_url",
                       "must be an address such as https://hc-ping.com/your-id, without blanks");
}

void read_run(Section section, Run& to, const Machine& machine) {
  const unsigned cores = std::max(1U, machine.cores);
  to.host = machine.host;
  to.workers = std::clamp(2 * cores, k_least_auto_workers, k_most_auto_workers);
  to.threads = std::min(cores, k_most_threads);
  section.absolute_path("lock_file", to.lock_file);
  section.count("lock_busy_exit", to.lock_busy_exit, 0, 255);
  if (!section.is_auto("host")) section.text("host", to.host);
  if (to.host.empty()) section.problem_at(section.line_of("host"), "host", "must not be empty");
  if (!section.is_auto("workers")) section.count("workers", to.workers, 1U, k_most_threads);
  if (!section.is_auto("threads")) section.count("threads", to.threads, 1U, k_most_threads);
  section.size("memory", to.memory_bytes, k_least_memory);
  section.duration("max_runtime", to.max_runtime, seconds(1));
  section.duration("linger", to.linger, seconds(0));
  section.duration("lease", to.lease, k_least_lease);
  section.count("max_attempts", to.max_attempts, 1, 1000);
  section.count("lane_max", to.lane_max, 0U, 1'000'000U);
  read_optional_path(section, "metrics_file", to.metrics_file);
  read_ping_url(section, to);
  section.finish();
}

void read_keep(Section section, Keep& to) {
  section.duration("telemetry", to.telemetry, k_least_keep);
  section.duration("runs", to.runs, k_least_keep);
  section.finish();
}

void read_check(Section section, Check& to) {
  section.duration("late", to.late, seconds(1));
  section.duration("transaction", to.transaction, seconds(1));
  section.finish();
}

}  // namespace

std::optional<std::string> exclude_problem(const std::string& pattern) {
  if (pattern.empty() || pattern == "/") return "a pattern must not be empty";
  if (pattern.find('\0') != std::string::npos) return "a pattern must not contain NUL";
  if (pattern.ends_with('/')) {
    return fmt::format("'{}' ends in '/', which no name does; '{}' leaves out a folder of that name as well", pattern,
                       pattern.substr(0, pattern.size() - 1));
  }
  return std::nullopt;
}

namespace {

void read_zip(Section section, Zip& to) {
  section.choice("level", to.level, k_levels);
  section.choice("align", to.align, k_align);
  section.choice("verify_reuse", to.verify_reuse, k_verify_reuse);
  section.choice("on_duplicate", to.on_duplicate, k_on_duplicate);
  section.boolean("portable_names", to.portable_names);
  section.boolean("allow_empty", to.allow_empty);
  section.texts("exclude", to.exclude, exclude_problem);
  section.finish();
}

void read_limits(Section section, Limits& to) {
  section.count("max_entries", to.max_entries, std::uint64_t{1}, std::uint64_t{UINT32_MAX});
  section.size("max_bytes", to.max_bytes, 1);
  section.count("max_depth", to.max_depth, 1U, 10'000U);
  section.finish();
}

void read_log(Section section, Log& to) {
  read_optional_path(section, "file", to.file);
  section.finish();
}

// Symlinks are followed as far as the path exists, so that a link can't hide the overlap.
fs::path resolved(const fs::path& path) {
  std::error_code failure;
  auto canonical = fs::weakly_canonical(path, failure);
  return failure ? path.lexically_normal() : canonical;
}

bool contains(const fs::path& outer, const fs::path& inner) {
  const auto end = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end.first == outer.end();
}

// A store that is also content would put archives into archives, without end; and archives are served to anybody.
void check_apart(Findings& findings, const Config& config, const Places& places) {
  if (config.archives.root.empty()) return;
  const fs::path store = resolved(config.archives.root);
  for (const auto& [name, place] : config.content.roots) {
    const auto* const path = std::get_if<fs::path>(&place);
    if (path == nullptr) continue;
    const fs::path root = resolved(*path);
    if (contains(root, store)) {
      findings.problem(places.archives_line,
                       fmt::format("archives.root: {} lies inside content.roots.{} ({}); keep them apart",
                                   config.archives.root.string(), name, path->string()));
    } else if (contains(store, root)) {
      findings.problem(places.root_lines.at(name),
                       fmt::format("content.roots.{}: {} lies inside archives.root ({}); keep them apart", name,
                                   path->string(), config.archives.root.string()));
    }
  }
}

// The same of folders that archives are delivered to; two targets in one folder would remove each other's.
void check_targets_apart(Findings& findings, const Config& config, const Places& places) {
  std::vector<std::pair<std::string, fs::path>> others;
  if (!config.archives.root.empty()) others.emplace_back("archives.root", resolved(config.archives.root));
  for (const auto& [name, place] : config.content.roots) {
    if (const auto* path = std::get_if<fs::path>(&place)) others.emplace_back("content.roots." + name, resolved(*path));
  }
  std::map<std::string, std::string> seen;
  for (const auto& [name, target] : config.archives.deliver) {
    const auto told = [&](const std::string& what) {
      findings.problem(places.target_lines.at(name), fmt::format("archives.deliver.{}: {}", name, what));
    };
    const auto [same, fresh] = seen.emplace(address_of(target.place), name);
    if (!fresh) told(fmt::format("is the place of archives.deliver.{} already", same->second));
    const auto* path = std::get_if<fs::path>(&target.place);
    if (path == nullptr) continue;
    const fs::path folder = resolved(*path);
    for (const auto& [what, other] : others) {
      if (contains(other, folder) || contains(folder, other)) {
        told(
            fmt::format("{} and {} ({}) lie inside each other; keep them apart", path->string(), what, other.string()));
      }
    }
    others.emplace_back("archives.deliver." + name, folder);
  }
}

// The one document of the file; nullopt after reporting why there is none.
std::optional<YAML::Node> read_document(Findings& findings, const std::string& yaml) {
  try {
    const auto documents = YAML::LoadAll(yaml);
    if (documents.size() > 1) {
      findings.problem(documents[1].Mark().line + 1, "a second document begins; the file must hold one");
    }
    return documents.empty() ? YAML::Node() : documents.front();
  } catch (const YAML::Exception& failure) {
    const int line = failure.mark.is_null() ? 0 : failure.mark.line + 1;
    findings.problem(line, fmt::format("not valid YAML: {}", failure.msg));
    return std::nullopt;
  }
}

}  // namespace

ParsedConfig parse(const std::string& yaml, const std::string& file, const Machine& machine) {
  Findings findings(file);
  Config config;
  if (const auto document = read_document(findings, yaml)) {
    Section top(findings, *document);
    Places places;
    read_database(top.section("database"), config.database);
    read_content(top.section("content"), config.content, places);
    read_archives(top.section("archives"), config.archives, places);
    read_run(top.section("run"), config.run, machine);
    read_keep(top.section("keep"), config.keep);
    read_check(top.section("check"), config.check);
    read_zip(top.section("zip"), config.zip);
    read_limits(top.section("limits"), config.limits);
    read_log(top.section("log"), config.log);
    top.finish();
    check_apart(findings, config, places);
    check_targets_apart(findings, config, places);
  }
  return {std::move(config), findings.problems(), findings.keys()};
}

ParsedConfig parse_database(const std::string& yaml, const std::string& file) {
  Findings findings(file);
  Config config;
  if (const auto document = read_document(findings, yaml)) {
    Section top(findings, *document);
    read_database(top.section("database"), config.database);
  }
  return {std::move(config), findings.problems(), findings.keys()};
}

}  // namespace zipmodule::config
