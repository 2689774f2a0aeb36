#include "storage/sftp_paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "storage/remote.hpp"
#include "storage/sftp_session.hpp"

namespace zipmodule::storage {
namespace {

// As Linux has it.
constexpr unsigned k_most_symlinks = 40;
// Of what is remembered: paths of some 30,000 folders.
constexpr std::size_t k_facts_bytes = std::size_t{4} << 20U;

// Without empty ones and '.'; but a path that ends in one has an empty one at its end: what is before it must be a
// folder.
std::deque<std::string> components_of(std::string_view path) {
  std::deque<std::string> components;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto component = path.substr(begin, end - begin);
    const bool last = end == path.size();
    const bool stays = component.empty() || component == ".";
    if (!stays) components.emplace_back(component);
    if (stays && last && !components.empty()) components.emplace_back();
    begin = end + 1;
  }
  return components;
}

// Takes the components of an absolute folder from the front of those of an absolute path; false where they are others.
bool drop_front(std::deque<std::string>& path, const std::string& folder) {
  if (!folder.starts_with('/')) return false;
  auto front = components_of(folder);
  while (!front.empty() && front.back().empty()) front.pop_back();
  if (path.size() < front.size() || !std::equal(front.begin(), front.end(), path.begin())) return false;
  path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(front.size()));
  return true;
}

Error outside(const std::string& name) {
  return {ErrorKind::source_outside, fmt::format("source {} leads outside its content root", name),
          "replace the symlink by the content, or name the root where the content is"};
}

}  // namespace

std::string SftpPaths::Trail::real() const {
  std::string path = top;
  for (const std::string& component : at) path = join(path, component);
  return path;
}

std::string SftpPaths::top(SftpSession& session) {
  {
    std::lock_guard lock(mutex_);
    if (!top_.empty()) return top_;
  }
  std::string real = session.real_path(folder_.empty() ? "." : folder_, root_.full_name(""));
  std::lock_guard lock(mutex_);
  return top_ = std::move(real);
}

SftpPaths::Place SftpPaths::find(SftpSession& session, const std::string& path, Time asked) {
  Trail trail{top(session), {}, components_of(path), 0};
  return *go(&session, trail, path, asked);
}

std::optional<std::string> SftpPaths::remembered(const std::string& path) {
  Trail trail{{}, {}, components_of(path), 0};
  {
    std::lock_guard lock(mutex_);
    trail.top = top_;
  }
  if (trail.top.empty()) return std::nullopt;
  try {
    const auto place = go(nullptr, trail, path, Time::min());
    return place ? std::optional(place->real) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // it may be so no more
  }
}

SftpPaths::Place SftpPaths::follow(SftpSession& session, const std::string& folder, const std::string& file,
                                   const std::string& path, Time asked) {
  Trail trail{top(session), {}, {}, 0};
  const auto at = components_of(below(trail.top, folder).value_or(""));
  trail.at.assign(at.begin(), at.end());
  turn(trail, target_of(session, join(folder, file), path), path);
  return *go(&session, trail, path, asked);
}

// With a session there is an answer; without one, only where all on the way is remembered.
std::optional<SftpPaths::Place> SftpPaths::go(SftpSession* session, Trail& trail, const std::string& path, Time asked) {
  const std::string name = root_.full_name(path);
  std::optional<FileStatus> status;  // of where the trail is; nullopt: a folder that was not looked at
  while (!trail.ahead.empty()) {
    const std::string component = std::exchange(trail.ahead.front(), {});
    trail.ahead.pop_front();
    if (component.empty()) continue;  // behind the last '/'
    status.reset();
    if (component == "..") {
      if (trail.at.empty()) throw outside(name);
      trail.at.pop_back();
      continue;
    }
    trail.at.push_back(component);
    const std::string here = trail.real();
    const bool last = trail.ahead.empty();
    std::optional<Fact> fact = recall(here, asked);
    if (session == nullptr) {
      if (!fact && !last) return std::nullopt;
    } else if (!fact || (last && fact->target.empty())) {
      const Time now = std::chrono::steady_clock::now();
      status = session->status(here, name);
      fact.reset();
      if (status->type == FileType::directory) remember(here, fact.emplace(Fact{now, {}}));
      if (status->type == FileType::symlink) fact.emplace(Fact{now, target_of(*session, here, path)});
      if (!fact && !last) throw session->missing(name);  // below a file
    }
    if (!fact || fact->target.empty()) continue;
    trail.at.pop_back();
    turn(trail, fact->target, path);
    status.reset();
  }
  const std::string here = trail.real();
  // The top itself may be a symlink: where the root lies is the configuration's affair.
  if (session != nullptr && !status) {
    status = trail.at.empty() ? session->status_behind(here, name) : session->status(here, name);
  }
  return Place{here, status.value_or(FileStatus{})};
}

std::string SftpPaths::target_of(SftpSession& session, const std::string& link, const std::string& path) {
  const Time now = std::chrono::steady_clock::now();
  std::string target = session.link_target(link, root_.full_name(path));
  if (target.empty()) {
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {}: its host does not say where the symlink leads", root_.full_name(path)),
                "look at the symlink there");
  }
  remember(link, {now, target});
  return target;
}

// Has the trail go on with the target of a symlink that stands in the folder where the trail is.
void SftpPaths::turn(Trail& trail, const std::string& target, const std::string& path) const {
  const std::string name = root_.full_name(path);
  if (++trail.symlinks > k_most_symlinks) {
    throw Error(ErrorKind::source_unreadable, fmt::format("source {}: too many symlinks", name),
                "look whether they lead in a circle");
  }
  Components on = components_of(target);
  if (target.starts_with('/')) {
    // The root's folder, as the host or the configuration names it. In both cases the way goes on from the top.
    if (!drop_front(on, trail.top) && !drop_front(on, folder_)) throw outside(name);
    trail.at.clear();
  }
  trail.ahead.insert(trail.ahead.begin(), std::make_move_iterator(on.begin()), std::make_move_iterator(on.end()));
}

std::optional<SftpPaths::Fact> SftpPaths::recall(const std::string& real, Time asked) {
  std::lock_guard lock(mutex_);
  const auto found = facts_.find(real);
  if (found == facts_.end() || found->second.learnt < asked) return std::nullopt;
  return found->second;
}

void SftpPaths::remember(const std::string& real, Fact fact) {
  std::lock_guard lock(mutex_);
  if (facts_bytes_ > k_facts_bytes) {
    facts_.clear();
    facts_bytes_ = 0;
  }
  constexpr std::size_t k_node_bytes = 128;
  const std::size_t bytes = k_node_bytes + real.size() + fact.target.size();
  if (facts_.insert_or_assign(real, std::move(fact)).second) facts_bytes_ += bytes;
}

}  // namespace zipmodule::storage
