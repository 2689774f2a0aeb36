#include "storage/sftp_walk.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "storage/remote.hpp"

namespace zipmodule::storage {

SftpWalk::~SftpWalk() {
  ended_.request_stop();
  for (auto& listing : dropped_) listing.wait();
}

SftpWalk::Pending SftpWalk::request(const std::string& below) {
  return root_.fetchers()->pool.ask([this, below] { return root_.list(below, asked_, frame_, ended_.get_token()); });
}

SftpRoot::Listing SftpWalk::wait_for(Pending pending) {
  constexpr std::chrono::milliseconds k_look_for_stop{100};
  while (pending.wait_for(k_look_for_stop) != std::future_status::ready) {
    if (!frame_.stop().stop_requested()) continue;
    dropped_.push_back(std::move(pending));
    frame_.require_no_stop();
  }
  return pending.get();
}

void SftpWalk::run() { visit("", root_.list("", asked_, frame_, frame_.stop())); }

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
  frame_.enter(below, {0, hash_of(listing.real)});
  if (listing.left_out > 0) frame_.left_out(listing.left_out);
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
    frame_.require_no_stop();
    look_ahead(below, children, look_at, ahead);
    const auto& child = children[index];
    const std::string path = join(below, child.name);
    if (child.problem) {
      frame_.problem(path, *child.problem);
      continue;
    }
    frame_.found(path, child.status);
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
  frame_.release(children.size(), listing.name_bytes);
  frame_.leave();
}

void SftpWalk::enter_child(const std::string& below, Pending pending) {
  std::optional<SftpRoot::Listing> listing;
  try {
    listing = wait_for(std::move(pending));
  } catch (const Error& error) {
    const bool of_folder = error.kind() == ErrorKind::source_missing || error.kind() == ErrorKind::source_unreadable ||
                           error.kind() == ErrorKind::source_changed || error.kind() == ErrorKind::source_outside;
    if (!of_folder) throw;
    frame_.problem(below, error);
  }
  if (listing) visit(below, *listing);
}

}  // namespace zipmodule::storage
