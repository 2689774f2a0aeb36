#include "storage/sftp_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace zipmodule::storage {
namespace {

std::string join(const std::string& parent, const std::string& child) {
  return parent.empty() || child.empty() ? parent + child : parent + '/' + child;
}

}  // namespace

SftpWalk::~SftpWalk() {
  ended_.request_stop();
  for (auto& listing : dropped_) listing.wait();
}

std::string SftpWalk::name(const std::string& below) const { return root_.full_name(join(base_, below)); }

SftpWalk::Listing SftpWalk::request(const std::string& below) {
  const auto most = limits_.max_names;
  auto task = std::make_shared<std::packaged_task<Children()>>(
      [this, most, path = join(base_, below), stop = ended_.get_token()] { return root_.list(path, most, stop); });
  root_.fetchers()->pool.submit([task] { (*task)(); });
  return task->get_future();
}

void SftpWalk::run() { visit("", root_.list(base_, limits_.max_names, stop_)); }

// Throws where the folder is too deep, or contains itself.
void SftpWalk::enter(const std::string& below) {
  if (ancestors_.size() >= limits_.max_depth) {
    throw Error(ErrorKind::limit, fmt::format("source {} is more than {} folders deep", name(below), limits_.max_depth),
                "raise limits.max_depth");
  }
  std::string real = root_.real_folder(join(base_, below), stop_);
  if (std::find(ancestors_.begin(), ancestors_.end(), real) != ancestors_.end()) {
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {} is a symlink to a folder that contains it", name(below)), "remove the symlink");
  }
  ancestors_.push_back(std::move(real));
}

void SftpWalk::visit(const std::string& below, Children children) {
  enter(below);
  names_held_ += children.size();
  if (names_held_ > limits_.max_names) {
    throw Error(ErrorKind::limit, fmt::format("source {}: more than {} names", name(below), limits_.max_names),
                "publish fewer files, or raise limits.max_entries");
  }
  const std::size_t window = 2 * root_.fetchers()->pool.size();
  std::deque<std::pair<std::size_t, Listing>> ahead;
  std::size_t look_at = 0;
  // Whatever ends this: nobody else may wait for them.
  struct Drop {
    SftpWalk& walk;
    std::deque<std::pair<std::size_t, Listing>>& ahead;
    ~Drop() {
      walk.requested_ -= ahead.size();
      for (auto& one : ahead) walk.dropped_.push_back(std::move(one.second));
    }
  } const drop{*this, ahead};
  for (std::size_t index = 0; index < children.size(); ++index) {
    if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
    for (; look_at < children.size() && requested_ < window; ++look_at) {
      const auto& child = children[look_at];
      if (child.problem || child.status.type != FileType::directory) continue;
      ahead.emplace_back(look_at, request(join(below, child.name)));
      ++requested_;
    }
    const auto& child = children[index];
    const std::string path = join(below, child.name);
    if (child.problem) {
      visitor_.problem(path, *child.problem);
      continue;
    }
    visitor_.found(path, child.status);
    if (child.status.type != FileType::directory) continue;
    Listing listing;
    if (!ahead.empty() && ahead.front().first == index) {
      listing = std::move(ahead.front().second);
      ahead.pop_front();
      --requested_;
    } else {
      look_at = std::max(look_at, index + 1);
      listing = request(path);
    }
    std::optional<Children> found;
    try {
      found = listing.get();
    } catch (const Error& error) {
      const bool of_folder = error.kind() == ErrorKind::source_missing || error.kind() == ErrorKind::source_unreadable;
      if (!of_folder) throw;
      visitor_.problem(path, error);
    }
    if (found) visit(path, std::move(*found));
  }
  names_held_ -= children.size();
  ancestors_.pop_back();
}

}  // namespace zipmodule::storage
