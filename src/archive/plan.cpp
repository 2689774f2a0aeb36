#include "archive/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <limits>

#include "base/error.hpp"

namespace zipmodule::archive {
namespace {

constexpr std::size_t k_warnings_most = 1'000;
// Missing sources that an error names. Telemetry keeps 4,000 characters of it.
constexpr std::size_t k_missing_named_most = 20;
constexpr std::size_t k_missing_bytes_most = 3'000;
// Names of a folder that are looked through for one that looks like a missing one.
constexpr std::size_t k_siblings_most = 100'000;
// Elements that are looked up at a time: some for each session with another host.
constexpr std::size_t k_awaited_most = 64;
constexpr std::uint16_t k_generated_root = std::numeric_limits<std::uint16_t>::max();
// 1980-01-01: the same whenever the archive is built.
constexpr std::int64_t k_generated_mtime_ns = 315'532'800LL * 1'000'000'000;

std::string join(std::string_view parent, std::string_view child) {
  if (parent.empty()) return std::string(child);
  if (child.empty()) return std::string(parent);
  return fmt::format("{}/{}", parent, child);
}

std::string_view last_component(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view without_slash(std::string_view name, bool directory) noexcept {
  return directory ? name.substr(0, name.size() - 1) : name;
}

// Whether the path is that of the folder, or leads into it.
bool contains(const std::string& folder, const std::string& path) {
  return folder.empty() || path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

// How many bytes both end with.
std::size_t common_end(std::string_view a, std::string_view b) noexcept {
  const auto [end_a, end_b] = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  return static_cast<std::size_t>(end_a - a.rbegin());
}

class FileReader final : public zip::EntryReader {
 public:
  FileReader(std::unique_ptr<storage::File> file, std::uint64_t size_bytes)
      : file_(std::move(file)), size_bytes_(size_bytes) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    return file_->read_at(offset, buffer);
  }
  // The end of a file is where reading ends: of some that a system makes up (/proc) the size is no more than a word.
  void require_unchanged() override {
    std::byte next{};
    const bool goes_on = file_->read_at(size_bytes_, std::span(&next, 1)) != 0;
    file_->require_unchanged();
    if (!goes_on) return;
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {} has more bytes than the {} that its size says", file_->name(), size_bytes_),
                "copy what it holds into a plain file, and publish that");
  }
  std::optional<zip::FileRange> file_range() const override {
    if (file_->fd() < 0) return std::nullopt;
    return zip::FileRange{file_->fd(), 0, file_->name()};
  }
  bool settled() const override { return file_->settled(); }

 private:
  const std::unique_ptr<storage::File> file_;
  const std::uint64_t size_bytes_;
};

class TextReader final : public zip::EntryReader {
 public:
  explicit TextReader(const std::string& text) : text_(text) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (offset >= text_.size()) return 0;
    const auto n = std::min(buffer.size(), text_.size() - static_cast<std::size_t>(offset));
    std::memcpy(buffer.data(), text_.data() + offset, n);
    return n;
  }
  void require_unchanged() override {}

 private:
  const std::string& text_;
};

}  // namespace

zip::EntryView Plan::at(std::size_t index) const {
  const Entry& entry = entries_[index];
  return {name(entry), entry.size_bytes, entry.mtime_ns, entry.directory, entry.executable};
}

std::string Plan::source_path(const Entry& entry) const {
  const Origin& origin = origins_[entry.origin];
  const std::string_view rest = without_slash(name(entry), entry.directory).substr(origin.drop_bytes);
  std::string path;
  path.reserve(origin.prefix_bytes + rest.size());
  return path.append(text_.at(origin.prefix_at, origin.prefix_bytes)).append(rest);
}

std::optional<storage::Version> Plan::version(std::size_t index) const {
  const Entry& entry = entries_[index];
  if (origins_[entry.origin].root == k_generated_root) return std::nullopt;
  return entry.version;
}

std::string Plan::source_name(std::size_t index) const {
  const Entry& entry = entries_[index];
  const std::uint16_t root = origins_[entry.origin].root;
  if (root == k_generated_root) return std::string(k_missing_entry);
  return fmt::format("{}:{}", roots_[root]->name(), source_path(entry));
}

std::vector<MountPoint> Plan::mounts() const {
  std::vector<MountPoint> result;
  for (const auto& root : roots_) {
    for (const std::string& path : root->mounts()) result.push_back({root->name(), path});
  }
  return result;
}

std::unique_ptr<zip::EntryReader> Plan::open(std::size_t index) {
  Entry& entry = entries_[index];
  const std::uint16_t root = origins_[entry.origin].root;
  if (root == k_generated_root) return std::make_unique<TextReader>(generated_);
  auto file = open_file(entry);
  entry.settled = recorded_ && file->settled();
  if (entry.size_bytes <= SourceReadAhead::k_bytes_most) read_ahead_.opened(index, *file, size());
  return std::make_unique<FileReader>(std::move(file), entry.size_bytes);
}

std::unique_ptr<storage::File> Plan::open_file(const Entry& entry) const {
  const Origin& origin = origins_[entry.origin];
  return roots_[origin.root]->open(source_path(entry),
                                   {storage::FileType::regular, entry.executable, entry.listed_settled,
                                    entry.size_bytes, entry.mtime_ns, entry.version},
                                   stop_);
}

Fetchers* Plan::fetchers(std::size_t index) {
  const std::uint16_t root = origins_[entries_[index].origin].root;
  return root == k_generated_root ? nullptr : roots_[root]->fetchers();
}

// Null where there is nothing to ask for.
std::unique_ptr<storage::File> Plan::open_ahead(std::size_t index) const {
  const Entry& entry = entries_[index];
  const std::uint16_t root = origins_[entry.origin].root;
  if (entry.size_bytes == 0 || entry.size_bytes > SourceReadAhead::k_bytes_most || root == k_generated_root)
    return nullptr;
  if (roots_[root]->fetchers() != nullptr) return nullptr;
  try {
    return open_file(entry);
  } catch (const Error&) {
    return nullptr;  // told when its turn comes
  }
}

// Makes one plan, element by element.
class Planner {
 public:
  Planner(const Roots& roots, const PlanOptions& options, const std::stop_token& stop)
      : roots_(roots),
        options_(options),
        stop_(stop),
        names_(options.on_duplicate, options.portable_names),
        mounted_before_(options.mounted_before),
        plan_(std::make_unique<Plan>(stop, options.recorded)) {}

  void add(Listed listed);
  std::unique_ptr<Plan> finish() {
    while (!awaited_.empty()) place_next();
    if (first_missing_) throw missing_error();
    if (!plan_->missing_.empty()) add_missing_list();
    return std::move(plan_);
  }

 private:
  class FolderVisitor;

  // An element whose source is being looked up: on another host, several at a time.
  struct Awaited {
    Listed listed;
    std::uint16_t root = 0;
    std::future<storage::FileStatus> status;
  };

  void place_next();
  void require_mounted(std::uint16_t root, const std::string& path);
  void resolve(Listed& listed) const;
  std::uint16_t root_index(const Listed& listed);
  std::uint32_t origin_index(std::string_view bare_name, std::string_view source, std::uint16_t root);
  void add_folder(const Listed& listed, std::uint16_t root, const storage::FileStatus& status);
  void add_entry(std::string name, std::string_view source, std::uint16_t root, const storage::FileStatus& status);
  void note_name(const std::string& name, const std::string& wanted, const zip::NameSet::Result& unique);
  void append(std::string_view name, std::string_view source, std::uint16_t root, const storage::FileStatus& status);
  void add_missing_list();
  void require_room() const;
  void note_missing(const Error& error, std::string source, const Listed* listed = nullptr);
  std::string likeness(const Listed& listed) const;
  Error missing_error() const;
  void warn(std::string text) {
    ++plan_->warned_;
    if (plan_->warnings_.size() < k_warnings_most) plan_->warnings_.push_back(std::move(text));
  }

  const Roots& roots_;
  const PlanOptions& options_;
  const std::stop_token& stop_;
  zip::NameSet names_;
  std::map<std::string, std::uint16_t, std::less<>> root_indexes_;  // in plan_->roots_, by name
  std::vector<MountPoint> mounted_before_;                          // that have not been looked at
  std::deque<Awaited> awaited_;
  std::uint64_t listed_ = 0;  // elements of the list
  // What is missing where that is an error. All of the list is looked at before it is thrown: it names more than the
  // first.
  std::optional<Error> first_missing_;
  std::string likeness_;  // the hint for the first of them that has one
  std::vector<std::string> missing_named_;
  std::size_t missing_bytes_ = 0;  // of these names
  std::uint64_t missing_ = 0;
  std::unique_ptr<Plan> plan_;
};

class Planner::FolderVisitor final : public storage::Visitor {
 public:
  FolderVisitor(Planner& planner, std::uint16_t root, std::string base, std::string prefix)
      : planner_(planner), root_(root), base_(std::move(base)), prefix_(std::move(prefix)) {}

  void found(const std::string& path, const storage::FileStatus& status) override {
    planner_.add_entry(join(prefix_, path), join(base_, path), root_, status);
  }
  void problem(const std::string& path, const Error& error) override {
    planner_.note_missing(error, fmt::format("{}:{}", planner_.plan_->roots_[root_]->name(), join(base_, path)));
  }
  void left_out(std::uint64_t names) override { planner_.plan_->files_excluded_ += names; }

 private:
  Planner& planner_;
  const std::uint16_t root_;
  const std::string base_;    // path of the folder below its root
  const std::string prefix_;  // its place in the archive
};

std::uint16_t Planner::root_index(const Listed& listed) {
  const auto known = root_indexes_.find(listed.root);
  if (known != root_indexes_.end()) return known->second;
  const auto found = roots_.find(listed.root);
  if (found == roots_.end()) {
    throw Error(ErrorKind::config,
                fmt::format("content root '{}' is not configured on host {}", listed.root, options_.host),
                fmt::format("add content.roots.{} there, or publish from another root", listed.root));
  }
  const auto index = static_cast<std::uint16_t>(plan_->roots_.size());
  plan_->roots_.push_back(found->second.for_attempt(stop_));
  root_indexes_.emplace(listed.root, index);
  // A marker says more about a root than what it was mounted on.
  if (found->second.has_marker()) std::erase(mounted_before_, MountPoint{listed.root, ""});
  return index;
}

// Of the mount points that a source lies in, or that lie in it.
void Planner::require_mounted(std::uint16_t root, const std::string& path) {
  const storage::Root& its_root = *plan_->roots_[root];
  std::erase_if(mounted_before_, [&](const MountPoint& mount) {
    const bool in_it = contains(mount.path, path);
    if (mount.root != its_root.name() || (!in_it && !contains(path, mount.path))) return false;
    its_root.require_mounted(mount.path, in_it);
    return true;
  });
}

// What a URL names, below the root that covers it; of several, the one that is nearest.
void Planner::resolve(Listed& listed) const {
  std::optional<std::string> nearest;
  for (const auto& [name, root] : roots_) {
    auto path = root.path_of(listed.url);
    if (!path || (nearest && nearest->size() <= path->size())) continue;
    listed.root = name;
    nearest = std::move(path);
  }
  if (!nearest) {
    throw Error(ErrorKind::config,
                fmt::format("source {}: no content root of host {} covers it", listed.url, options_.host),
                "add one to content.roots there, or publish from another");
  }
  listed.path = *nearest;
}

void Planner::add(Listed listed) {
  if (!listed.url.empty()) resolve(listed);
  Awaited next;
  next.root = root_index(listed);
  if (!mounted_before_.empty()) require_mounted(next.root, listed.path);
  next.status = plan_->roots_[next.root]->look_up(listed.path, stop_);
  next.listed = std::move(listed);
  awaited_.push_back(std::move(next));
  if (awaited_.size() > k_awaited_most) place_next();
}

void Planner::place_next() {
  Awaited next = std::move(awaited_.front());
  awaited_.pop_front();
  if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "planning was stopped");
  ++listed_;
  const Listed& listed = next.listed;
  const std::uint16_t root = next.root;
  storage::FileStatus status;
  try {
    status = next.status.get();
  } catch (const Error& error) {
    note_missing(error, fmt::format("{}:{}", listed.root, listed.path), &listed);
    return;
  }
  if (status.type == storage::FileType::directory) {
    add_folder(listed, root, status);
    return;
  }
  if (listed.contents_only) {
    throw Error(ErrorKind::source_type, fmt::format("source {}:{}/ is a file, not a folder", listed.root, listed.path),
                "publish it without the '/' at its end");
  }
  const std::string name = listed.name.empty() ? std::string(last_component(listed.path)) : listed.name;
  add_entry(join(listed.destination, name), listed.path, root, status);
}

void Planner::add_folder(const Listed& listed, std::uint16_t root, const storage::FileStatus& status) {
  std::string prefix = listed.destination;
  if (!listed.contents_only) {
    prefix = join(prefix, listed.name.empty() ? last_component(listed.path) : std::string_view(listed.name));
    add_entry(prefix, listed.path, root, status);
  }
  storage::WalkLimits limits;
  limits.max_depth = options_.max_depth;
  // Every name becomes an entry or is missing, but for the excluded file.
  limits.max_names = options_.max_entries + (options_.excluded ? 1 : 0);
  limits.exclude = options_.exclude.get();
  FolderVisitor visitor(*this, root, listed.path, std::move(prefix));
  plan_->roots_[root]->walk(listed.path, limits, stop_, visitor);
}

void Planner::add_entry(std::string name, std::string_view source, std::uint16_t root,
                        const storage::FileStatus& status) {
  const bool directory = status.type == storage::FileType::directory;
  if (options_.excluded == status.version.file) return;
  if (directory) name += '/';
  const std::string wanted = options_.portable_names ? zip::portable_name(name) : std::string();
  if (const auto problem = zip::name_problem(options_.portable_names ? wanted : name)) {
    throw Error(ErrorKind::source_name,
                fmt::format("source {}:{}: its name in the archive {}", plan_->roots_[root]->name(), source, *problem),
                "rename it, or publish it under another name");
  }
  const auto unique = names_.add(name);
  if (unique.repeated) return;
  note_name(name, wanted, unique);
  require_room();
  append(unique.name, source, root, status);
}

// What its reader will find odd about a name. `wanted`: the name made portable.
void Planner::note_name(const std::string& name, const std::string& wanted, const zip::NameSet::Result& unique) {
  if (unique.renamed && unique.name == wanted)
    warn(fmt::format("'{}' is archived as '{}', which Windows can create", name, unique.name));
  else if (unique.renamed)
    warn(fmt::format("'{}' is there already: archived as '{}'", name, unique.name));
  if (const auto problem = options_.portable_names ? std::nullopt : zip::windows_problem(name))
    warn(fmt::format("'{}' {}: Windows can't create it (zip.portable_names would replace it)", name, *problem));
  if (unique.name.size() > zip::k_name_bytes_warn)
    warn(fmt::format("'{}' has {} bytes: too long for Windows", unique.name, unique.name.size()));
}

void Planner::require_room() const {
  if (plan_->entries_.size() + plan_->missing_.size() >= options_.max_entries) {
    throw Error(ErrorKind::limit, fmt::format("more than {} entries", options_.max_entries),
                "publish fewer files, or raise limits.max_entries");
  }
}

std::uint32_t Planner::origin_index(std::string_view bare_name, std::string_view source, std::uint16_t root) {
  Plan& plan = *plan_;
  const std::size_t shared = common_end(bare_name, source);
  const std::string_view prefix = source.substr(0, source.size() - shared);
  Plan::Origin origin{0, static_cast<std::uint32_t>(prefix.size()),
                      static_cast<std::uint32_t>(bare_name.size() - shared), root};
  // Most often it is that of the entry before; the second to the last is, where a single entry was renamed.
  constexpr std::size_t k_looked_at = 2;
  const std::size_t known = plan.origins_.size();
  for (std::size_t back = 1; back <= std::min(known, k_looked_at); ++back) {
    const Plan::Origin& earlier = plan.origins_[known - back];
    origin.prefix_at = earlier.prefix_at;
    if (earlier == origin && plan.text_.at(earlier.prefix_at, earlier.prefix_bytes) == prefix)
      return static_cast<std::uint32_t>(known - back);
  }
  origin.prefix_at = plan.text_.add(prefix);
  plan.origins_.push_back(origin);
  return static_cast<std::uint32_t>(known);
}

void Planner::append(std::string_view name, std::string_view source, std::uint16_t root,
                     const storage::FileStatus& status) {
  Plan& plan = *plan_;
  const bool directory = status.type == storage::FileType::directory;
  Plan::Entry entry;
  entry.origin = origin_index(without_slash(name, directory), source, root);
  entry.name_at = plan.text_.add(name);
  entry.name_bytes = static_cast<std::uint16_t>(name.size());
  entry.size_bytes = directory ? 0 : status.size_bytes;
  entry.mtime_ns = status.mtime_ns;
  entry.version = status.version;
  entry.directory = directory;
  entry.executable = !directory && status.executable;
  entry.listed_settled = status.settled;
  entry.settled = directory;  // nothing but its time is archived
  plan.entries_.push_back(entry);
  plan.content_bytes_ += entry.size_bytes;
  if (!directory) ++plan.files_;
  if (plan.content_bytes_ > options_.max_bytes) {
    throw Error(ErrorKind::limit, fmt::format("more than {} bytes of content", options_.max_bytes),
                "publish less, or raise limits.max_bytes");
  }
}

// `listed`: the element of the list that is missing itself.
void Planner::note_missing(const Error& error, std::string source, const Listed* listed) {
  if (error.kind() != ErrorKind::source_missing) throw error;
  if (options_.skip_missing) {
    require_room();
    plan_->missing_.push_back(std::move(source));
    return;
  }
  ++missing_;
  if (!first_missing_) first_missing_ = error;
  const bool too_long = !missing_named_.empty() && missing_bytes_ + source.size() > k_missing_bytes_most;
  if (too_long || missing_named_.size() == k_missing_named_most) return;
  if (likeness_.empty() && listed != nullptr) likeness_ = likeness(*listed);
  missing_bytes_ += source.size();
  missing_named_.push_back(std::move(source));
}

Error Planner::missing_error() const {
  const std::string& hint = likeness_.empty() ? first_missing_->hint() : likeness_;
  if (missing_ == 1) return {ErrorKind::source_missing, first_missing_->what(), hint};
  const std::uint64_t more = missing_ - missing_named_.size();
  return {ErrorKind::source_missing,
          fmt::format("{} sources are missing: {}{}", missing_, fmt::join(missing_named_, ", "),
                      more > 0 ? fmt::format(" and {} more", more) : ""),
          hint};
}

// A hint where something is there whose path differs in Unicode form or case only, which nobody can see; else empty.
std::string Planner::likeness(const Listed& listed) const {
  const storage::Root& root = *plan_->roots_[root_indexes_.find(listed.root)->second];
  std::string found;
  for (std::string_view rest = listed.path; !rest.empty();) {
    const auto slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    const std::vector<std::string> names = root.names(found, k_siblings_most);
    if (std::find(names.begin(), names.end(), component) == names.end()) {
      const auto like = std::find_if(names.begin(), names.end(),
                                     [&](const std::string& name) { return zip::same_to_people(name, component); });
      if (like == names.end()) return {};
      found = join(found, *like);
    } else {
      found = join(found, component);
    }
  }
  if (found == listed.path) return {};  // it came meanwhile
  return fmt::format(
      "'{}' is there, whose name differs in case or Unicode form (NFC, NFD) only: publish it as it is there",
      root.full_name(found));
}

void Planner::add_missing_list() {
  if (plan_->entries_.empty()) {
    throw Error(ErrorKind::empty,
                fmt::format("none of the {} listed sources exists; the first is {}", listed_, plan_->missing_.front()),
                "put them there and publish again");
  }
  std::string& text = plan_->generated_;
  text = "These files were listed for this archive and were not there when it was built:\n";
  for (const std::string& missing : plan_->missing_) text += missing + "\n";
  storage::FileStatus status;
  status.type = storage::FileType::regular;
  status.size_bytes = text.size();
  status.mtime_ns = k_generated_mtime_ns;
  append(names_.add(k_missing_entry).name, "", k_generated_root, status);
}

std::unique_ptr<Plan> make_plan(const std::vector<Listed>& list, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop) {
  Planner planner(roots, options, stop);
  for (const Listed& listed : list) planner.add(listed);
  return planner.finish();
}

std::unique_ptr<Plan> make_plan(std::string_view files_json, const Roots& roots, const PlanOptions& options,
                                const std::stop_token& stop) {
  Planner planner(roots, options, stop);
  for_each_listed(files_json, [&](const Listed& listed) { planner.add(listed); });
  return planner.finish();
}

}  // namespace zipmodule::archive
