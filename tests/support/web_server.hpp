// nginx with TLS on a loopback port, serving one folder.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace zipmodule::test {

// With a certificate of its own for 'localhost'. Throws with a hint where there is no nginx.
class WebServer {
 public:
  // `more`: lines for its server block.
  explicit WebServer(const std::filesystem::path& folder, const std::string& more = "");
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  std::string url() const { return "https://localhost:" + std::to_string(port_); }
  std::filesystem::path certificate() const { return dir_ / "cert.pem"; }
  // The lines of its access log: "METHOD PATH STATUS RANGE BYTES".
  std::string log() const;
  void stop() { process_.reset(); }
  void start();

 private:
  TempDir dir_{"nginx"};
  unsigned port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace zipmodule::test
