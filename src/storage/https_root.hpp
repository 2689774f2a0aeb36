// A content root on a web server. Read only, and without listings: files are listed one by one.
#pragma once

#include <memory>
#include <string>

#include "base/fetchers.hpp"
#include "storage/https_options.hpp"
#include "storage/root.hpp"

namespace zipmodule::storage {

struct WebFile;
class WebClient;

// A file's version is told by ETag, size and Last-Modified; each answer with a part of it is compared. One that was changed
// within the last minute, by our clock, is not recognised as unchanged by a later build, and what has neither ETag nor time
// never is; it may have no more than one part.
class HttpsRoot final : public Root {
 public:
  // `url`: https://host[:port][/path], without '/' at its end. `window_bytes`: the most that is in flight from there.
  HttpsRoot(std::string name, std::string url, const HttpsOptions& options, std::uint64_t window_bytes);
  ~HttpsRoot() override;

  // The root itself is a folder, once the server answered anything.
  FileStatus status(const std::string& path, const std::stop_token& stop) const override;
  std::future<FileStatus> look_up(const std::string& path, const std::stop_token& stop) const override;
  // Asks for nothing yet.
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  // Throws Error{source_type}.
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;
  std::optional<std::string> path_of(const std::string& url) const override;
  Fetchers* fetchers() const noexcept override { return fetchers_.get(); }

 private:
  friend class HttpsFile;

  std::string url_of(const std::string& path) const;
  FileStatus status_of(const WebFile& response, const std::string& path) const;

  const std::string url_;
  const std::unique_ptr<WebClient> client_;
  const std::unique_ptr<Fetchers> fetchers_;  // last: their tasks end before the rest goes
};

}  // namespace zipmodule::storage
