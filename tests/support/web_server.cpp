#include "support/web_server.hpp"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/loopback.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {

namespace fs = std::filesystem;

WebServer::WebServer(const fs::path& folder, const std::string& more) : port_(free_port()) {
  if (!fs::exists("/usr/sbin/nginx")) throw std::runtime_error("no nginx; scripts/setup --tests installs it");
  const Result made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                           "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                           "-keyout", (dir_ / "key.pem").string(), "-out", (dir_ / "cert.pem").string()});
  if (made.exit_code != 0) throw std::runtime_error(made.text());
  const std::string here = dir_.path().string();
  std::ostringstream config;
  if (::getuid() == 0) config << "user root;\n";
  config << "daemon off;\nmaster_process off;\npid " << here << "/pid;\nerror_log " << here << "/error.log;\n"
         << "events {}\nhttp {\n  log_format asked '$request_method $uri $status $http_range $body_bytes_sent';\n"
         << "  access_log " << here << "/access.log asked;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    config << "  " << kind << "_temp_path " << here << "/" << kind << ";\n";
  }
  config << "  server {\n    listen 127.0.0.1:" << port_ << " ssl;\n    server_name localhost;\n    ssl_certificate "
         << here << "/cert.pem;\n    ssl_certificate_key " << here << "/key.pem;\n    root " << folder.string() << ";\n"
         << more << "\n  }\n}\n";
  write_file(dir_ / "nginx.conf", config.str());
  start();
}

void WebServer::start() {
  process_ = std::make_unique<Process>(Command{
      {"/usr/sbin/nginx", "-c", (dir_ / "nginx.conf").string(), "-e", (dir_ / "error.log").string()}, {}, {}, {}});
  if (!wait_until([&] { return answers(port_) || !process_->running(); }) || !process_->running()) {
    throw std::runtime_error("nginx does not start: " + process_->err());
  }
}

std::string WebServer::log() const { return read_file(dir_ / "access.log"); }

}  // namespace zipmodule::test
