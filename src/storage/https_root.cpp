#include "storage/https_root.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "storage/file_status.hpp"
#include "storage/http_address.hpp"
#include "storage/remote.hpp"
#include "storage/web_client.hpp"

namespace zipmodule::storage {
namespace {

// One request: small enough to be repeated, large enough for the line's delay not to matter much.
constexpr std::size_t k_piece_bytes = std::size_t{2} << 20U;

bool strong(const std::string& etag) { return !etag.empty() && !etag.starts_with("W/"); }

}  // namespace

class HttpsFile final : public File {
 public:
  HttpsFile(const HttpsRoot& root, std::string path, const FileStatus& listed, std::stop_token stop)
      : File(root.full_name(path), listed.settled),
        root_(root),
        path_(std::move(path)),
        url_(root.url_of(path_)),
        listed_(listed),
        stop_(std::move(stop)) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (offset >= listed_.size_bytes) return 0;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), listed_.size_bytes - offset));
    for (std::size_t got = 0; got < size;) {
      const auto piece = buffer.subspan(got, std::min(k_piece_bytes, size - got));
      const WebFile response = root_.client_->ask(url_, offset + got, piece, name(), stop_);
      require_listed(response);
      // A server may answer a range with the whole (RFC 9110, section 14.2).
      if (response.status == 200 && (offset + got > 0 || piece.size() != listed_.size_bytes)) {
        throw Error(ErrorKind::source_unreadable,
                    fmt::format("source {}: the server does not send parts of it", name()),
                    "have the server support ranges");
      }
      if (response.body_bytes != piece.size()) throw changed(name());
      got += piece.size();
    }
    return size;
  }
  void require_unchanged() override { require_listed(root_.client_->ask(url_, 0, {}, name(), stop_)); }

 private:
  void require_listed(const WebFile& response) const {
    if (root_.status_of(response, path_).version != listed_.version) throw changed(name());
  }

  const HttpsRoot& root_;
  const std::string path_;
  const std::string url_;
  const FileStatus listed_;
  const std::stop_token stop_;
};

HttpsRoot::HttpsRoot(std::string name, std::string url, const HttpsOptions& options, std::uint64_t window_bytes)
    : Root(std::move(name)),
      url_(std::move(url)),
      client_(std::make_unique<WebClient>(options, url_)),
      fetchers_(std::make_unique<Fetchers>(options.connections, window_bytes)) {}

HttpsRoot::~HttpsRoot() = default;

std::string HttpsRoot::url_of(const std::string& path) const {
  if (path.find('\\') != std::string::npos) {  // some servers take it for a '/'
    throw Error(ErrorKind::source_outside,
                fmt::format("source {}: a '\\' leads nowhere on a web server", full_name(path)),
                "list it by another name");
  }
  return fmt::format("{}/{}", url_, encoded_path(path));
}

FileStatus HttpsRoot::status_of(const WebFile& response, const std::string& path) const {
  if (response.folder) {
    FileStatus folder;
    folder.type = FileType::directory;
    return folder;
  }
  constexpr auto k_most_bytes = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!response.size_bytes || *response.size_bytes > k_most_bytes) {
    throw Error(ErrorKind::source_unreadable,
                fmt::format("source {}: the server does not tell its size", full_name(path)),
                "have the server send Content-Length");
  }
  FileStatus status;
  status.type = FileType::regular;
  status.size_bytes = *response.size_bytes;
  const auto seconds = curl_getdate(response.last_modified.c_str(), nullptr);
  const bool timed = !response.last_modified.empty() && seconds >= 0 && seconds < k_last_second;
  status.mtime_ns = timed ? std::int64_t{seconds} * 1'000'000'000 : k_no_time_ns;
  status.version.file = mixed(hash_of(url_), hash_of(path));
  // Servers behind one balancer may have the same ETags and other times.
  const auto time = strong(response.etag) ? 0 : static_cast<std::uint64_t>(status.mtime_ns);
  status.version.state = mixed(mixed(hash_of(response.etag), time), status.size_bytes);
  // Many servers make ETags of times in whole seconds, so these have to be old as well.
  status.settled = timed ? is_settled(status.mtime_ns) : strong(response.etag);
  if (!timed && response.etag.empty() && status.size_bytes > k_piece_bytes) {
    throw Error(
        ErrorKind::source_unreadable,
        fmt::format("source {}: the server tells neither ETag nor Last-Modified, so that parts of it could be of "
                    "two versions",
                    full_name(path)),
        "have the server tell one of them");
  }
  return status;
}

std::optional<std::string> HttpsRoot::path_of(const std::string& url) const { return below(url_, url); }

FileStatus HttpsRoot::status(const std::string& path, const std::stop_token& stop) const {
  if (!path.empty()) return status_of(client_->ask(url_of(path), 0, {}, full_name(path), stop), path);
  try {
    client_->ask(url_of(""), 0, {}, full_name(""), stop);
  } catch (const Error& error) {
    // It need not show its folder to anybody.
    const bool answered = error.kind() == ErrorKind::source_missing || error.kind() == ErrorKind::source_unreadable ||
                          error.kind() == ErrorKind::source_outside;
    if (!answered) throw;
  }
  FileStatus status;
  status.type = FileType::directory;
  return status;
}

std::future<FileStatus> HttpsRoot::look_up(const std::string& path, const std::stop_token& stop) const {
  return fetchers_->pool.ask([this, path, stop] { return status(path, stop); });
}

std::unique_ptr<File> HttpsRoot::open(const std::string& path, const FileStatus& listed,
                                      const std::stop_token& stop) const {
  return std::make_unique<HttpsFile>(*this, path, listed, stop);
}

void HttpsRoot::walk(const std::string& path, const WalkLimits& /*limits*/, const std::stop_token& /*stop*/,
                     Visitor& /*visitor*/) const {
  throw Error(ErrorKind::source_type, fmt::format("source {}: a web server's folders can't be listed", full_name(path)),
              "list its files one by one");
}

}  // namespace zipmodule::storage
