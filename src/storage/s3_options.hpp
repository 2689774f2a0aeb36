// Where a bucket is, and how to talk to it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace zipmodule::storage {

struct S3Options {
  std::string bucket;
  std::string prefix;    // of all keys, without '/' at either end; may be empty
  std::string endpoint;  // http[s]://host[:port], without '/' at its end; empty: Amazon's of the region
  std::string region;    // empty: $AWS_REGION, $AWS_DEFAULT_REGION, the profile's, us-east-1
  // https://endpoint/bucket/key instead of https://bucket.endpoint/key
  bool path_style = false;
  std::string profile;                        // of the shared files; empty: $AWS_PROFILE, 'default'
  std::filesystem::path credentials_file;     // empty: $AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials
  std::filesystem::path ca;                   // certificates that are trusted, PEM; empty: the system's
  unsigned connections = 8;                   // at once, at most
  std::chrono::milliseconds timeout{30'000};  // the longest silence, and how long it is tried again
};

}  // namespace zipmodule::storage
