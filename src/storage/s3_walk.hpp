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
  void count(const std::string& path);
  void problem(const std::string& path, const Error& error);
  std::string name(const std::string& path) const;

  const S3Root& root_;
  S3Client& client_;
  const std::string base_;  // the folder, below the root
  const std::string who_;   // the same, for messages
  const std::string prefix_;
  const WalkLimits limits_;
  const std::stop_token stop_;
  Visitor& visitor_;

  std::uint64_t names_ = 0;
  std::string last_;                  // the key before
  bool any_ = false;                  // whether there was one
  std::vector<std::string> folders_;  // that the last key is in, below the walked one, each with its '/'
  std::vector<std::string> files_;    // that later keys could have as a folder
  std::string closed_;                // a folder, with its '/', whose keys are left out; empty: none
};

}  // namespace zipmodule::storage
