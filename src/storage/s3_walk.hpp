// One walk through the keys below a folder of a bucket. Private to src/storage.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/root.hpp"
#include "storage/s3_client.hpp"
#include "storage/walk_frame.hpp"

namespace zipmodule::storage {

class S3Root;

// Whether a component names no file: it is empty, '.' or '..'.
bool leads_nowhere(std::string_view component) noexcept;

// A bucket lists its keys sorted bytewise, which is the order of the walk; one page of them is held at a time.
class S3Walk {
 public:
  S3Walk(const S3Root& root, S3Client& client, std::string base, const WalkLimits& limits, std::stop_token stop,
         Visitor& visitor);

  // As Root::walk.
  void run();

 private:
  S3Page next_page(const std::string& token);
  void take(const S3Listed& listed);
  bool enter_folders(const std::string& path);
  bool enter(const std::string& folder);
  void problem(const std::string& path, const Error& error);

  const S3Root& root_;
  S3Client& client_;
  WalkFrame frame_;
  const std::string who_;  // the walked folder, for messages
  const std::string prefix_;

  std::string last_;                  // the key before
  bool any_ = false;                  // whether there was one
  std::uint64_t entered_ = 0;         // folders so far
  std::vector<std::string> folders_;  // that the last key is in, below the walked one, each with its '/'
  std::vector<std::string> files_;    // that later keys could have as a folder
  std::string closed_;                // a folder, with its '/', that can't be entered; empty: none
  std::string excluded_;              // one that is excluded
};

}  // namespace zipmodule::storage
