// S3 servers on loopback ports: a strict one of our own that fails as it is told (strict_s3.py), and s3rver, which is made by
// others.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace zipmodule::test {

// The files of a folder as the objects of a bucket.
class StrictS3 {
 public:
  explicit StrictS3(const std::filesystem::path& folder, const std::string& bucket = "bucket");

  unsigned port() const noexcept { return port_; }
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  static std::string region() { return "strict-1"; }
  // A file with the credentials that it takes: [default], with a session token [session], and [reader], who may not write;
  // [wrong] it does not take.
  std::filesystem::path credentials() const { return control_ / "credentials"; }

  // A JSON list, see strict_s3.py. Counts begin anew.
  void fail(const std::string& faults);
  // A line for each request so far.
  std::string log() const;
  std::size_t requests(const std::string& operation) const;
  // "id key" of each upload that has not ended.
  std::string uploads() const;

 private:
  TempDir control_{"s3"};
  std::unique_ptr<Process> process_;
  unsigned port_ = 0;
  unsigned told_ = 0;
};

// With the bucket "bucket". Throws with a hint where there is none.
class S3rver {
 public:
  S3rver();

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::filesystem::path credentials() const { return dir_ / "credentials"; }

 private:
  TempDir dir_{"s3rver"};
  std::unique_ptr<Process> process_;
  unsigned port_ = 0;
};

}  // namespace zipmodule::test
