#include "support/strict_s3.hpp"

#include <stdexcept>

#include "support/loopback.hpp"
#include "support/paths.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {

namespace fs = std::filesystem;

StrictS3::StrictS3(const fs::path& folder, const std::string& bucket) {
  fs::create_directories(folder);
  write_file(control_ / "credentials",
             "[default]\naws_access_key_id = STRICTKEY\naws_secret_access_key = strict/secret+key\n"
             "[session]\naws_access_key_id = STRICTSESSION\naws_secret_access_key = strict/secret+key\n"
             "aws_session_token = strict-token\n"
             "[reader]\naws_access_key_id = STRICTREADER\naws_secret_access_key = strict/secret+key\n"
             "[wrong]\naws_access_key_id = STRICTKEY\naws_secret_access_key = never-to-be-seen\n");
  process_ = std::make_unique<Process>(
      Command{{"python3", source_path("tests/support/strict_s3.py"), folder.string(), bucket, control_.path().string()},
              {{"PYTHONDONTWRITEBYTECODE", "1"}},
              {},
              {}});
  const auto told = [&] { return process_->out().find('\n') != std::string::npos; };
  if (!wait_until([&] { return told() || !process_->running(); }) || !told()) {
    throw std::runtime_error("the strict S3 server does not start: " + process_->err());
  }
  port_ = static_cast<unsigned>(std::stoul(process_->out()));
}

void StrictS3::fail(const std::string& faults) {
  // Another text each time, so that the counts of the same faults begin anew.
  write_file(control_ / "faults.new", faults + std::string(++told_, ' '));
  fs::rename(control_ / "faults.new", control_ / "faults");
}

std::string StrictS3::log() const { return fs::exists(control_ / "log") ? read_file(control_ / "log") : ""; }

std::size_t StrictS3::requests(const std::string& operation) const {
  const std::string text = "\n" + log();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find("\n" + operation + " ", at)) != std::string::npos; ++at) ++count;
  return count;
}

std::string StrictS3::uploads() const {
  return fs::exists(control_ / "uploads") ? read_file(control_ / "uploads") : "";
}

S3rver::S3rver() : port_(free_port()) {
  const fs::path program = source_path("build/npm/node_modules/s3rver/bin/s3rver.js");
  if (!fs::exists(program)) throw std::runtime_error("no s3rver; scripts/setup --tests installs it");
  write_file(dir_ / "credentials", "[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\n");
  fs::create_directories(dir_ / "data");
  process_ = std::make_unique<Process>(
      // It makes its tokens with DES.
      Command{{"node", "--openssl-legacy-provider", program.string(), "-d", (dir_ / "data").string(), "-a", "127.0.0.1",
               "-p", std::to_string(port_), "--silent", "--configure-bucket", "bucket"},
              {{"NODE_NO_WARNINGS", "1"}},
              {},
              {}});
  if (!wait_until([&] { return answers(port_) || !process_->running(); }) || !process_->running()) {
    throw std::runtime_error("s3rver does not start: " + process_->err());
  }
}

}  // namespace zipmodule::test
