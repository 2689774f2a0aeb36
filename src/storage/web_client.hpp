// Reads files of one web server. Private to src/storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "storage/http_client.hpp"
#include "storage/https_options.hpp"

namespace zipmodule::storage {

struct WebFile {
  long status = 0;
  bool folder = false;        // it leads to its own address with a '/' behind it: all else is empty then
  std::string etag;           // RFC 9110, section 8.8.3, with its quotes; empty: none
  std::string last_modified;  // section 8.8.2; empty: none
  // Of the whole: Content-Length (section 8.6), and for a part what Content-Range (section 14.4) tells.
  std::optional<std::uint64_t> size_bytes;
  std::size_t body_bytes = 0;  // put into the buffer
};

// Thread-safe. https only. Each redirect of a chain must lead below the root's own URL or one that the root allows.
// What may pass is tried again, as HttpClient does.
//
// Errors, naming `name`: source_missing (404, 410), source_unreadable (401, 403 and others), source_changed (416),
// source_outside (a redirect to anywhere else), and those of HttpClient.
class WebClient {
 public:
  // `url`: the root's own.
  WebClient(const HttpsOptions& options, const std::string& url);

  // Without a buffer a HEAD; with one a GET of the part of its size from `offset` on. A server may answer that with the
  // whole (status 200), of which no more than fits is in the buffer.
  WebFile ask(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
              const std::stop_token& stop);

 private:
  HttpAnswer follow(HttpRequest request, bool anew, const std::stop_token& stop);

  const std::vector<std::string> places_;  // redirects may lead below these
  HttpClient http_;
};

}  // namespace zipmodule::storage
