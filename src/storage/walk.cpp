#include "storage/walk.hpp"

#include <algorithm>

namespace zipmodule::storage {
namespace {

// Open descriptors of folders, beside those on the way down. Enough to keep some threads busy: each level takes half of
// what the levels above have left.
constexpr std::size_t k_reads_most = 16;

// Most walks are of a few folders and over before a thread would have been started.
constexpr std::size_t k_folders_alone = 32;

}  // namespace

void Walk::run() {
  frame_.require_depth("");
  const auto top = std::make_shared<Folder>(context_);
  top->read();
  if (top->problem()) throw Error(*top->problem());
  visit(top);
}

void Walk::visit(const std::shared_ptr<Folder>& folder) {
  frame_.enter(folder->below(), folder->identity());
  ++folders_visited_;
  if (folder->left_out() > 0) frame_.left_out(folder->left_out());
  Next next;
  next.most = (k_reads_most - reads_ + 1) / 2;
  read_ahead(folder, next);
  for (std::size_t index = 0; index < folder->size(); ++index) {
    frame_.require_no_stop();
    const Folder::Child& child = folder->child(index);
    const std::string below = folder->child_below(index);
    if (child.problem) {
      frame_.problem(below, *child.problem);
      continue;
    }
    frame_.found(below, child.status);
    if (child.status.type != FileType::directory) continue;
    const auto subfolder = take(folder, index, next);
    if (subfolder->problem())
      frame_.problem(below, *subfolder->problem());
    else
      visit(subfolder);
  }
  reads_ -= next.reads.size();  // of last ones that were no folders any more
  frame_.leave();
}

std::shared_ptr<Folder> Walk::take(const std::shared_ptr<Folder>& parent, std::size_t index, Next& next) {
  frame_.require_depth(parent->child_below(index));
  std::shared_ptr<FolderRead> read;
  while (!next.reads.empty() && next.reads.front().first <= index) {
    if (next.reads.front().first == index)
      read = std::move(next.reads.front().second);
    else
      ahead_.drop(*next.reads.front().second);  // of one that was no folder any more
    next.reads.pop_front();
    --reads_;
  }
  next.look_at = std::max(next.look_at, index + 1);
  read_ahead(parent, next);
  if (read) return ahead_.wait(*read);
  auto folder = std::make_shared<Folder>(parent, index);
  folder->read();
  return folder;
}

void Walk::read_ahead(const std::shared_ptr<Folder>& folder, Next& next) {
  if (folders_visited_ <= k_folders_alone || frame_.limits().threads == 0 ||
      frame_.depth() >= frame_.limits().max_depth) {
    return;
  }
  for (; next.look_at < folder->size() && next.reads.size() < next.most && reads_ < k_reads_most; ++next.look_at) {
    if (!folder->is_folder(next.look_at)) continue;
    next.reads.emplace_back(next.look_at, ahead_.request(std::make_shared<Folder>(folder, next.look_at)));
    ++reads_;
  }
}

}  // namespace zipmodule::storage
