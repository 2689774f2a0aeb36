// One walk through a folder and all below it. Private to src/storage.
//
//   names of a folder, sorted -> status, 1,024 at a time -> found(), in order
//      '-> the next folders among them, up to 16 in all: opened, listed, and their first 1,024 statuses read by threads
//
// Threads read whole folders only. Of one large folder the kernel lets nobody gain by two threads (see
// ARCHITECTURE.md).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "storage/folder.hpp"
#include "storage/read_ahead.hpp"

namespace zipmodule::storage {

class Walk {
 public:
  Walk(const LocalRoot& root, WalkFrame& frame)
      : frame_(frame), context_{root, frame}, ahead_(frame.limits().threads) {}

  // As LocalRoot::walk.
  void run();

 private:
  // The folders in `folder` that are read ahead, in order.
  struct Next {
    std::deque<std::pair<std::size_t, std::shared_ptr<FolderRead>>> reads;
    std::size_t look_at = 0;  // where the search for the one after them goes on
    std::size_t most = 0;
  };

  void visit(const std::shared_ptr<Folder>& folder);
  std::shared_ptr<Folder> take(const std::shared_ptr<Folder>& parent, std::size_t index, Next& next);
  void read_ahead(const std::shared_ptr<Folder>& folder, Next& next);

  WalkFrame& frame_;
  const WalkContext context_;
  std::size_t folders_visited_ = 0;
  std::size_t reads_ = 0;  // in all Next
  ReadAhead ahead_;
};

}  // namespace zipmodule::storage
