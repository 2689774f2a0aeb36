#include "archive/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <limits>

#include "base/error.hpp"

namespace zipmodule::archive {
namespace {

constexpr std::size_t k_warnings_most = 1'000;
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

// How many bytes both end with.
std::size_t common_end(std::string_view a, std::string_view b) noexcept {
  const auto [end_a, end_b] = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  return static_cast<std::size_t>(end_a - a.rbegin());
}

class FileReader final : public zip::EntryReader {
 public:
  explicit FileReader(std::unique_ptr<storage::File> file) : file_(std::move(file)) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    return file_->read_at(offset, buffer);
  }
  void require_unchanged() override { file_->require_unchanged(); }
  std::optional<zip::FileRange> file_range() const override {
    if (file_->fd() < 0) return std::nullopt;
    return zip::FileRange{file_->fd(), 0, file_->name()};
  }
  bool settled() const override { return file_->settled(); }

 private:
  const std::unique_ptr<storage::File> file_;
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

std::optional<SourceIdentity> Plan::identity(std::size_t index) const {
  const Entry& entry = entries_[index];
  const Origin& origin = origins_[entry.origin];
  if (origin.root == k_generated_root) return std::nullopt;
  return SourceIdentity{origin.device, entry.inode, entry.size_bytes, entry.mtime_ns, entry.ctime_ns};
}

std::string Plan::source_name(std::size_t index) const {
  const Entry& entry = entries_[index];
  const std::uint16_t root = origins_[entry.origin].root;
  if (root == k_generated_root) return std::string(k_missing_entry);
  return fmt::format("{}:{}", roots_[root]->name(), source_path(entry));
}

std::unique_ptr<zip::EntryReader> Plan::open(std::size_t index) {
  const Entry& entry = entries_[index];
  const std::uint16_t root = origins_[entry.origin].root;
  if (root == k_generated_root) return std::make_unique<TextReader>(generated_);
  auto file = open_file(entry);
  if (entry.size_bytes <= SourceReadAhead::k_bytes_most) read_ahead_.opened(index, *file, size());
  return std::make_unique<FileReader>(std::move(file));
}

std::unique_ptr<storage::File> Plan::open_file(const Entry& entry) const {
  const Origin& origin = origins_[entry.origin];
  return roots_[origin.root]->open(source_path(entry),
                                   {storage::FileType::regular, entry.executable, entry.size_bytes, entry.mtime_ns,
                                    entry.ctime_ns, entry.inode, origin.device},
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
        names_(options.on_duplicate),
        plan_(std::make_unique<Plan>(stop)) {}

  void add(Listed listed);
  std::unique_ptr<Plan> finish() {
    while (!awaited_.empty()) place_next();
    if (!plan_->missing_.empty()) add_missing_list();
    return std::move(plan_);
  }

 private:
  class FolderVisitor;

  // An element whose source is being looked up: on another host, several at a time.
  struct Awaited {
    Listed listed;
    std::future<storage::FileStatus> status;
  };

  void place_next();
  void resolve(Listed& listed) const;
  std::uint16_t root_index(const Listed& listed);
  std::uint32_t origin_index(std::string_view bare_name, std::string_view source, std::uint16_t root,
                             std::uint64_t device);
  void add_folder(const Listed& listed, std::uint16_t root, const storage::FileStatus& status);
  void add_entry(std::string name, std::string_view source, std::uint16_t root, const storage::FileStatus& status);
  void append(std::string_view name, std::string_view source, std::uint16_t root, const storage::FileStatus& status);
  void add_missing_list();
  void require_room() const;
  void note_missing(const Error& error, std::string_view source);
  void warn(std::string text) {
    if (plan_->warnings_.size() < k_warnings_most) plan_->warnings_.push_back(std::move(text));
  }

  const Roots& roots_;
  const PlanOptions& options_;
  const std::stop_token& stop_;
  zip::NameSet names_;
  std::deque<Awaited> awaited_;
  std::uint64_t listed_ = 0;  // elements of the list
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

 private:
  Planner& planner_;
  const std::uint16_t root_;
  const std::string base_;    // path of the folder below its root
  const std::string prefix_;  // its place in the archive
};

std::uint16_t Planner::root_index(const Listed& listed) {
  const auto found = roots_.find(listed.root);
  if (found == roots_.end()) {
    throw Error(ErrorKind::config,
                fmt::format("content root '{}' is not configured on host {}", listed.root, options_.host),
                fmt::format("add content.roots.{} there, or publish from another root", listed.root));
  }
  const storage::Root* root = found->second.get();
  auto& used = plan_->roots_;
  const auto known = std::find(used.begin(), used.end(), root);
  const auto index = static_cast<std::uint16_t>(known - used.begin());
  if (known == used.end()) used.push_back(root);
  return index;
}

// What a URL names, below the root that covers it; of several, the one that is nearest.
void Planner::resolve(Listed& listed) const {
  std::optional<std::string> nearest;
  for (const auto& [name, root] : roots_) {
    auto path = root->path_of(listed.url);
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
  next.listed = std::move(listed);
  const auto root = roots_.find(next.listed.root);
  if (root != roots_.end()) next.status = root->second->look_up(next.listed.path, stop_);
  awaited_.push_back(std::move(next));
  if (awaited_.size() > k_awaited_most) place_next();
}

void Planner::place_next() {
  Awaited next = std::move(awaited_.front());
  awaited_.pop_front();
  if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "planning was stopped");
  ++listed_;
  const Listed& listed = next.listed;
  const std::uint16_t root = root_index(listed);
  storage::FileStatus status;
  try {
    status = next.status.get();
  } catch (const Error& error) {
    note_missing(error, fmt::format("{}:{}", listed.root, listed.path));
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
  FolderVisitor visitor(*this, root, listed.path, std::move(prefix));
  plan_->roots_[root]->walk(listed.path, limits, stop_, visitor);
}

void Planner::add_entry(std::string name, std::string_view source, std::uint16_t root,
                        const storage::FileStatus& status) {
  const bool directory = status.type == storage::FileType::directory;
  if (options_.excluded == std::pair(status.device, status.inode)) return;
  if (directory) name += '/';
  if (const auto problem = zip::name_problem(name)) {
    throw Error(ErrorKind::source_name,
                fmt::format("source {}:{}: its name in the archive {}", plan_->roots_[root]->name(), source, *problem),
                "rename it, or publish it under another name");
  }
  if (options_.portable_names) {
    std::string portable = zip::portable_name(name);
    if (portable != name) warn(fmt::format("'{}' is archived as '{}', which Windows can create", name, portable));
    name = std::move(portable);
  } else if (const auto problem = zip::windows_problem(name)) {
    warn(fmt::format("'{}' {}: Windows can't create it (zip.portable_names would replace it)", name, *problem));
  }
  if (name.size() > zip::k_name_bytes_warn)
    warn(fmt::format("'{}' has {} bytes: too long for Windows", name, name.size()));
  const auto unique = names_.add(name);
  if (unique.repeated) return;
  if (unique.renamed) warn(fmt::format("'{}' is there already: archived as '{}'", name, unique.name));
  require_room();
  append(unique.name, source, root, status);
}

void Planner::require_room() const {
  if (plan_->entries_.size() + plan_->missing_.size() >= options_.max_entries) {
    throw Error(ErrorKind::limit, fmt::format("more than {} entries", options_.max_entries),
                "publish fewer files, or raise limits.max_entries");
  }
}

std::uint32_t Planner::origin_index(std::string_view bare_name, std::string_view source, std::uint16_t root,
                                    std::uint64_t device) {
  Plan& plan = *plan_;
  const std::size_t shared = common_end(bare_name, source);
  const std::string_view prefix = source.substr(0, source.size() - shared);
  Plan::Origin origin{0, static_cast<std::uint32_t>(prefix.size()),
                      static_cast<std::uint32_t>(bare_name.size() - shared), root, device};
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
  entry.origin = origin_index(without_slash(name, directory), source, root, status.device);
  entry.name_at = plan.text_.add(name);
  entry.name_bytes = static_cast<std::uint16_t>(name.size());
  entry.size_bytes = directory ? 0 : status.size_bytes;
  entry.mtime_ns = status.mtime_ns;
  entry.ctime_ns = status.ctime_ns;
  entry.inode = status.inode;
  entry.directory = directory;
  entry.executable = !directory && status.executable;
  plan.entries_.push_back(entry);
  plan.content_bytes_ += entry.size_bytes;
  if (!directory) ++plan.files_;
  if (plan.content_bytes_ > options_.max_bytes) {
    throw Error(ErrorKind::limit, fmt::format("more than {} bytes of content", options_.max_bytes),
                "publish less, or raise limits.max_bytes");
  }
}

void Planner::note_missing(const Error& error, std::string_view source) {
  if (error.kind() != ErrorKind::source_missing || !options_.skip_missing) throw error;
  require_room();
  plan_->missing_.emplace_back(source);
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
