// One walk through a folder of an SFTP root and all below it: the next folders are listed while the visitor looks at those
// before them. Private to src/storage.
#pragma once

#include <atomic>
#include <cstdint>
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

namespace zipmodule::storage {

class SftpWalk {
 public:
  SftpWalk(const SftpRoot& root, std::string base, const WalkLimits& limits, std::stop_token stop, Visitor& visitor)
      : root_(root),
        base_(std::move(base)),
        limits_(limits),
        stop_(std::move(stop)),
        visitor_(visitor),
        on_stop_(stop_, [this] { ended_.request_stop(); }) {}
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
  void enter(const std::string& below, const std::string& real);
  std::string name(const std::string& below) const;

  const SftpRoot& root_;
  const std::string base_;
  const WalkLimits limits_;
  const std::stop_token stop_;
  Visitor& visitor_;

  std::vector<std::string> ancestors_;         // where they really are
  std::atomic<std::uint64_t> names_held_ = 0;  // of all folders that are listed and not left
  std::size_t requested_ = 0;                  // listings that nobody has taken yet
  std::stop_source ended_;                     // for listings that nobody will take
  std::stop_callback<std::function<void()>> on_stop_;
  std::vector<Pending> dropped_;
};

}  // namespace zipmodule::storage
