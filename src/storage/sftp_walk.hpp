// One walk through a folder of an SFTP root and all below it: the next folders are listed while the visitor looks at
// those before them. Private to src/storage.
#pragma once

#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "storage/sftp_root.hpp"
#include "storage/walk_frame.hpp"

namespace zipmodule::storage {

class SftpWalk {
 public:
  SftpWalk(const SftpRoot& root, std::string base, const WalkLimits& limits, std::stop_token stop, Visitor& visitor)
      : root_(root),
        frame_(root, std::move(base), limits, std::move(stop), visitor),
        on_stop_(frame_.stop(), [this] { ended_.request_stop(); }) {}
  ~SftpWalk();

  // As Root::walk.
  void run();

 private:
  using Children = std::vector<SftpRoot::Child>;
  using Pending = std::future<SftpRoot::Listing>;
  using Ahead = std::deque<std::pair<std::size_t, Pending>>;

  Pending request(const std::string& below);
  SftpRoot::Listing wait_for(Pending pending);
  void look_ahead(const std::string& below, const Children& children, std::size_t& look_at, Ahead& ahead);
  void visit(const std::string& below, const SftpRoot::Listing& listing);
  void enter_child(const std::string& below, Pending pending);

  const SftpRoot& root_;
  WalkFrame frame_;
  const SftpPaths::Time asked_ = SftpPaths::Time::clock::now();

  std::size_t requested_ = 0;  // listings that nobody has taken yet
  std::stop_source ended_;     // for listings that nobody will take
  std::stop_callback<std::function<void()>> on_stop_;
  std::vector<Pending> dropped_;
};

}  // namespace zipmodule::storage
