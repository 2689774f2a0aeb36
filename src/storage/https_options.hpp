// How a web server is talked to.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace zipmodule::storage {

struct HttpsOptions {
  std::filesystem::path ca;                   // certificates that are trusted, PEM; empty: the system's
  std::vector<std::string> redirects;         // URLs, without '/' at their ends: redirects may lead below them, too
  unsigned connections = 8;                   // at once, at most
  std::chrono::milliseconds timeout{30'000};  // the longest silence, and how long it is tried again
};

}  // namespace zipmodule::storage
