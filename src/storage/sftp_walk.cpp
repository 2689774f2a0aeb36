#include "storage/sftp_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "storage/remote.hpp"

namespace zipmodule::storage {

SftpWalk::~SftpWalk() {
  ended_.request_stop();
  for (auto& listing : dropped_) listing.wait();
}

std::string SftpWalk::name(const std::string& below) const { return root_.full_name(join(base_, below)); }

SftpWalk::Pending SftpWalk::request(const std::string& below) {
  return root_.fetchers()->pool.ask([this, path = join(base_, below)] {
    return root_.list(path, names_held_, limits_.max_names, ended_.get_token());
  });
}

SftpRoot::Listing SftpWalk::wait_for(Pending pending) {
  constexpr std::chrono::milliseconds k_look_for_stop{100};
  while (pending.wait_for(k_look_for_stop) != std::future_status::ready) {
    if (!stop_.stop_requested()) continue;
    dropped_.push_back(std::move(pending));
    throw Error(ErrorKind::stopped, "the walk was stopped");
  }
  return pending.get();
}

void SftpWalk::run() { visit("", root_.list(base_, names_held_, limits_.max_names, stop_)); }

// Throws where the folder is too deep, or contains itself.
void SftpWalk::enter(const std::string& below, const std::string& real) {
  if (ancestors_.size() >= limits_.max_depth) {
    throw Error(ErrorKind::limit, fmt::format("source {} is more than {} folders deep", name(below), limits_.max_depth),
                "raise limits.max_depth");
  }
  if (std::find(ancestors_.begin(), ancestors_.end(), real) != ancestors_.end()) {
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {} is a symlink to a folder that contains it", name(below)), "remove the symlink");
  }
  ancestors_.push_back(real);
}

// The next folders among `children`, from `look_at` on, are listed by the fetchers.
void SftpWalk::look_ahead(const std::string& below, const Children& children, std::size_t& look_at, Ahead& ahead) {
  const std::size_t window = 2 * root_.fetchers()->pool.size();
  for (; look_at < children.size() && requested_ < window; ++look_at) {
    const auto& child = children[look_at];
    if (child.problem || child.status.type != FileType::directory) continue;
    ahead.emplace_back(look_at, request(join(below, child.name)));
    ++requested_;
  }
}

void SftpWalk::visit(const std::string& below, const SftpRoot::Listing& listing) {
  enter(below, listing.real);
  const Children& children = listing.children;
  Ahead ahead;
  std::size_t look_at = 0;
  // Whatever ends this: nobody else may wait for them.
  struct Drop {
    SftpWalk& walk;
    Ahead& ahead;
    ~Drop() {
      walk.requested_ -= ahead.size();
      for (auto& one : ahead) walk.dropped_.push_back(std::move(one.second));
    }
  } const drop{*this, ahead};
  for (std::size_t index = 0; index < children.size(); ++index) {
    if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
    look_ahead(below, children, look_at, ahead);
    const auto& child = children[index];
    const std::string path = join(below, child.name);
    if (child.problem) {
      visitor_.problem(path, *child.problem);
      continue;
    }
    visitor_.found(path, child.status);
    if (child.status.type != FileType::directory) continue;
    Pending pending;
    if (!ahead.empty() && ahead.front().first == index) {
      pending = std::move(ahead.front().second);
      ahead.pop_front();
      --requested_;
    } else {
      look_at = std::max(look_at, index + 1);
      pending = request(path);
    }
    enter_child(path, std::move(pending));
  }
  names_held_ -= children.size();
  ancestors_.pop_back();
}

void SftpWalk::enter_child(const std::string& below, Pending pending) {
  std::optional<SftpRoot::Listing> listing;
  try {
    listing = wait_for(std::move(pending));
  } catch (const Error& error) {
    const bool of_folder = error.kind() == ErrorKind::source_missing || error.kind() == ErrorKind::source_unreadable;
    if (!of_folder) throw;
    visitor_.problem(below, error);
  }
  if (listing) visit(below, *listing);
}

}  // namespace zipmodule::storage
