#include "storage/s3_root.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

#include "storage/file_status.hpp"
#include "storage/remote.hpp"
#include "storage/s3_client.hpp"
#include "storage/s3_walk.hpp"

namespace zipmodule::storage {
namespace {

// One request: the delay before its first byte, 30 to 100 ms at Amazon, must not matter much, and it must be small
// enough to be repeated.
constexpr std::size_t k_piece_bytes = std::size_t{8} << 20U;

bool leads_somewhere(std::string_view path) {
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto part = path.substr(begin, end - begin);
    if (leads_nowhere(part)) return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

class S3File final : public File {
 public:
  S3File(const S3Root& root, std::string path, const FileStatus& listed, std::stop_token stop)
      : File(root.full_name(path), listed.settled),
        root_(root),
        path_(std::move(path)),
        who_("source " + name()),
        key_(root.client_->key_of(path_)),
        listed_(listed),
        stop_(std::move(stop)) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (offset >= listed_.size_bytes) return 0;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), listed_.size_bytes - offset));
    for (std::size_t got = 0; got < size;) {
      const auto piece = buffer.subspan(got, std::min(k_piece_bytes, size - got));
      const S3Object object = root_.client_->get(key_, etag(), offset + got, piece, who_, stop_);
      require_listed(object);
      if (object.body_bytes != piece.size()) throw changed(name());
      got += piece.size();
    }
    return size;
  }

  void require_unchanged() override {
    const auto object = root_.client_->head(key_, who_, stop_);
    if (!object) {
      throw Error(ErrorKind::source_missing, fmt::format("{} is gone", who_),
                  "put it there, or publish a list without it");
    }
    require_listed(*object);
  }

 private:
  std::string etag() const {
    std::lock_guard lock(mutex_);
    return etag_;
  }
  void require_listed(const S3Object& object) {
    if (root_.status_of(object, path_).version != listed_.version) throw changed(name());
    std::lock_guard lock(mutex_);
    etag_ = object.etag;
  }

  const S3Root& root_;
  const std::string path_;  // below the root
  const std::string who_;
  const std::string key_;
  const FileStatus listed_;
  const std::stop_token stop_;
  mutable std::mutex mutex_;
  std::string etag_;  // guarded by mutex_: of the listed version, once an answer told it
};

S3Root::S3Root(std::string name, S3Options options, std::uint64_t window_bytes)
    : Root(std::move(name)),
      client_(std::make_unique<S3Client>(std::move(options))),
      hash_(hash_of(fmt::format("s3://{}/{}/{}", client_->options().endpoint, client_->options().bucket,
                                client_->options().prefix))),
      fetchers_(std::make_unique<Fetchers>(client_->options().connections, window_bytes)) {}

S3Root::~S3Root() = default;

FileStatus S3Root::status_of(const S3Object& object, const std::string& path) const {
  return status_of(S3Listed{{}, object.size_bytes, object.etag, object.time_s}, path);
}

FileStatus S3Root::status_of(const S3Listed& listed, const std::string& path) const {
  const bool timed = listed.time_s >= 0 && listed.time_s < k_last_second;
  if (listed.size_bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    not_s3("source " + full_name(path), "it has a size that no object has");
  }
  FileStatus status;
  status.type = FileType::regular;
  status.size_bytes = listed.size_bytes;
  status.mtime_ns = timed ? listed.time_s * 1'000'000'000 : k_no_time_ns;
  status.version.file = mixed(hash_, hash_of(path));
  // Of one object, lists and answers may tell times that differ: an ETag is enough.
  const auto state = listed.etag.empty() ? static_cast<std::uint64_t>(status.mtime_ns) : hash_of(listed.etag);
  status.version.state = mixed(state, status.size_bytes);
  status.settled = !listed.etag.empty() || (timed && is_settled(status.mtime_ns));
  return status;
}

FileStatus S3Root::status(const std::string& path, const std::stop_token& stop) const {
  const std::string who = "source " + full_name(path);
  if (!path.empty()) {
    if (const auto object = client_->head(client_->key_of(path), who, stop)) return status_of(*object, path);
  }
  const std::string key = client_->key_of(path);
  const S3Page page = client_->list(key.empty() ? key : key + '/', "", 1, who, stop);
  if (!path.empty() && page.objects.empty()) {
    throw Error(ErrorKind::source_missing, fmt::format("{}: no such object, and no key below it", who),
                "put it there, or publish a list without it");
  }
  FileStatus folder;
  folder.type = FileType::directory;
  return folder;
}

std::future<FileStatus> S3Root::look_up(const std::string& path, const std::stop_token& stop) const {
  return fetchers_->pool.ask([this, path, stop] { return status(path, stop); });
}

std::unique_ptr<File> S3Root::open(const std::string& path, const FileStatus& listed,
                                   const std::stop_token& stop) const {
  return std::make_unique<S3File>(*this, path, listed, stop);
}

void S3Root::walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                  Visitor& visitor) const {
  S3Walk(*this, *client_, path, limits, stop, visitor).run();
}

std::optional<std::string> S3Root::path_of(const std::string& url) const {
  const std::string place = join("s3://" + client_->options().bucket, client_->options().prefix);
  const auto path = below(place, url.ends_with('/') ? url.substr(0, url.size() - 1) : url);
  return path && (path->empty() || leads_somewhere(*path)) ? path : std::nullopt;
}

}  // namespace zipmodule::storage
