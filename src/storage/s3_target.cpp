#include "storage/s3_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <span>

#include "base/log.hpp"
#include "base/random_hex.hpp"
#include "base/threads.hpp"
#include "storage/http_address.hpp"
#include "storage/remote.hpp"
#include "storage/s3_client.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {
namespace {

constexpr std::uint64_t k_mib = std::uint64_t{1} << 20U;
// Up to here one request beats the three that parts cost.
constexpr std::uint64_t k_whole_bytes = 16 * k_mib;
// A part that is lost is sent again: short enough for that, and long enough for the answer's delay not to matter.
constexpr std::uint64_t k_part_bytes = 8 * k_mib;
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
constexpr std::uint64_t k_most_parts = 10'000;
constexpr std::uint64_t k_most_bytes = 5 * k_mib * k_mib;
constexpr unsigned k_threads = 4;  // of one archive
// What is left is ended while everything else waits to stop: a server that does not answer by then keeps it.
constexpr std::chrono::seconds k_abort_time{5};
// Longer than any key with a line break behind it.
constexpr std::size_t k_pointer_bytes = 2'048;

std::uint64_t part_bytes(std::uint64_t size) {
  const std::uint64_t least = (size + k_most_parts - 1) / k_most_parts;
  return std::max(k_part_bytes, (least + k_mib - 1) / k_mib * k_mib);
}

// A stop that comes by itself.
class StopLater {
 public:
  explicit StopLater(std::chrono::seconds time)
      : thread_(start_thread("a deadline", [this, time](const std::stop_token& ended) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          never.wait_for(lock, ended, time, [] { return false; });
          if (!ended.stop_requested()) source_.request_stop();
        })) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  Thread thread_;
};

HttpBody text_body(std::string text) { return {std::move(text), -1, 0, 0}; }

}  // namespace

// One archive on its way.
struct S3Target::Upload {
  LocalSource file;
  std::string key;
  std::string who;
  std::string mark = random_hex();  // tells it from every other upload of that key
  std::uint64_t part_bytes = 0;

  HttpBody part(std::uint64_t offset, std::uint64_t size) const { return {{}, file.fd, offset, size}; }
};

S3Target::S3Target(std::string name, S3Options options)
    : Target(std::move(name)), client_(std::make_unique<S3Client>(std::move(options))) {}

S3Target::~S3Target() = default;

std::string S3Target::who(const std::string& path) const { return fmt::format("target {}: {}", name(), path); }

template <class Work>
auto S3Target::guarded(Work work) const {
  try {
    return work();
  } catch (const Error& error) {
    throw to_target_error(name(), error);
  }
}

unsigned S3Target::parallel() const noexcept { return std::max(1U, client_->options().connections / k_threads); }

std::uint64_t S3Target::do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  Upload upload{file, client_->key_of(path), who(path)};
  upload.part_bytes = part_bytes(file.size_bytes);
  return guarded([&]() -> std::uint64_t {
    if (file.size_bytes > k_most_bytes) {
      throw Error(
          ErrorKind::target_unwritable,
          fmt::format("{}: it has {} bytes, and an object can't have more than 5 TiB", upload.who, file.size_bytes),
          "publish it as several archives");
    }
    const auto there = client_->head(upload.key, upload.who, stop);
    if (there && there->size_bytes == file.size_bytes) return 0;
    if (file.size_bytes <= k_whole_bytes)
      put_whole(upload, stop);
    else
      put_in_parts(upload, stop);
    return file.size_bytes;
  });
}

void S3Target::put_whole(const Upload& upload, const std::stop_token& stop) {
  const HttpBody body = upload.part(0, upload.file.size_bytes);
  const BodyDigest digest = digest_of(body, upload.who);
  S3Storing storing;
  storing.upload = upload.mark;
  const S3Stored stored = client_->put(upload.key, body, digest, storing, upload.who, stop);
  if (!stored.md5.empty() && stored.md5 != digest.md5_hex) {
    client_->remove(upload.key, upload.who, stop);  // or the next put finds an object of the right size
    throw Error(ErrorKind::verify, fmt::format("{}: what arrived has another MD5 than what was sent", upload.who));
  }
  require_there(upload, stored.etag, stop);
}

// Ends what it began, whatever happens.
void S3Target::put_in_parts(const Upload& upload, const std::stop_token& stop) {
  abort_uploads(upload.key, upload.who, stop);
  S3Storing storing;
  storing.upload = upload.mark;
  const std::string id = client_->create_upload(upload.key, storing, upload.who, stop);
  try {
    const auto etags = send_parts(upload, id, stop);
    require_there(upload, client_->complete_upload(upload.key, id, etags, upload.who, stop), stop);
  } catch (...) {
    try {
      const StopLater later(k_abort_time);
      client_->abort_upload(upload.key, id, upload.who, later.token());
    } catch (const Error& error) {
      log::info("{}; its parts stay until the next upload", error.what());
    }
    throw;
  }
}

std::vector<std::string> S3Target::send_parts(const Upload& upload, const std::string& id,
                                              const std::stop_token& stop) {
  const std::uint64_t size = upload.file.size_bytes;
  std::vector<std::string> etags((size + upload.part_bytes - 1) / upload.part_bytes);
  std::atomic<std::size_t> next = 0;
  std::stop_source ended;  // with the caller's stop, and with the first part that fails
  const std::stop_callback on_stop(stop, [&] { ended.request_stop(); });
  std::mutex mutex;
  std::exception_ptr problem;
  const auto work = [&](const std::stop_token&) {
    try {
      for (std::size_t part = next++; part < etags.size() && !ended.stop_requested(); part = next++) {
        etags[part] = send_part(upload, id, static_cast<unsigned>(part + 1), ended.get_token());
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!problem) problem = std::current_exception();
      ended.request_stop();
    }
  };
  const auto threads = std::min<std::size_t>({k_threads, std::max(1U, client_->options().connections), etags.size()});
  {
    const auto others = start_threads("parts of an upload", threads - 1, work);
    work({});
  }
  if (problem) std::rethrow_exception(problem);
  if (stop.stop_requested()) throw stopped_waiting();
  return etags;
}

std::string S3Target::send_part(const Upload& upload, const std::string& id, unsigned part,
                                const std::stop_token& stop) {
  const std::uint64_t offset = (part - 1) * upload.part_bytes;
  const HttpBody body = upload.part(offset, std::min(upload.part_bytes, upload.file.size_bytes - offset));
  const BodyDigest digest = digest_of(body, upload.who);
  const S3Stored stored = client_->put_part(upload.key, id, part, body, digest, upload.who, stop);
  if (stored.etag.empty() || (!stored.md5.empty() && stored.md5 != digest.md5_hex)) {
    throw Error(ErrorKind::verify,
                fmt::format("{}: part {} {}", upload.who, part,
                            stored.etag.empty() ? "has no ETag" : "has another MD5 than what was sent"));
  }
  return stored.etag;
}

// `etag`: what the server says it stored; nullopt: it does not, and only the upload's name tells.
void S3Target::require_there(const Upload& upload, const std::optional<std::string>& etag,
                             const std::stop_token& stop) {
  const auto there = client_->head(upload.key, upload.who, stop);
  const auto wrong = [&](const std::string& what) {
    return Error(ErrorKind::verify, fmt::format("{}: {}", upload.who, what), "look who else writes there");
  };
  if (!there) throw wrong("it was stored, and is not there");
  if (there->size_bytes != upload.file.size_bytes) {
    throw wrong(fmt::format("{} bytes were sent, and {} are there", upload.file.size_bytes, there->size_bytes));
  }
  if ((!etag || etag->empty()) && there->upload != upload.mark) throw wrong("its upload was ended by somebody else");
  if (etag && !etag->empty() && !there->etag.empty() && there->etag != *etag) {
    if (there->upload == upload.mark)
      client_->remove(upload.key, upload.who, stop);  // ours: the next put must not find it
    throw wrong("another object is there than was stored");
  }
}

// The marker of a probe that failed, even where that was stopped.
void S3Target::take_back(const std::string& key, const std::string& who) {
  try {
    const StopLater later(k_abort_time);
    client_->remove(key, who, later.token());
  } catch (const Error& error) {
    log::info("{}; it stays there", error.what());
  }
}

void S3Target::abort_uploads(const std::string& key, const std::string& who, const std::stop_token& stop) {
  for (const std::string& id : client_->uploads_of(key, who, stop)) {
    log::info("{}: ending an upload that was left half done", who);
    client_->abort_upload(key, id, who, stop);
  }
}

void S3Target::do_point(const tree::Link& wanted, const std::stop_token& stop) {
  const std::string link = public_path(wanted.series, wanted.archive);
  const std::string path = build_path(wanted.build_id);
  guarded([&] {
    const HttpBody body = text_body(client_->key_of(path) + "\n");
    S3Storing storing;
    storing.content_type = "text/plain";
    storing.redirect = "/" + encoded_path(client_->key_of(path));
    client_->put(client_->key_of(link), body, digest_of(body, who(link)), storing, who(link), stop);
  });
}

// The whole of a small object; nullopt where it is missing or empty.
std::optional<std::string> S3Target::read_small(const std::string& path, const std::stop_token& stop) {
  std::array<std::byte, k_pointer_bytes> buffer{};
  S3Object object;
  try {
    object = client_->get(client_->key_of(path), "", 0, buffer, who(path), stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::source_missing || error.kind() == ErrorKind::source_changed) return std::nullopt;
    throw;
  }
  std::string text(reinterpret_cast<const char*>(buffer.data()), object.body_bytes);
  if (object.size_bytes != text.size()) text.clear();  // something else than was written there
  return text;
}

bool S3Target::do_unpoint(const tree::Link& wanted, const std::stop_token& stop) {
  const std::string link = public_path(wanted.series, wanted.archive);
  const std::string path = build_path(wanted.build_id);
  return guarded([&] {
    if (read_small(link, stop) != client_->key_of(path) + "\n") return false;
    client_->remove(client_->key_of(link), who(link), stop);
    return true;
  });
}

std::optional<std::string> S3Target::do_read_marker(const std::stop_token& stop) {
  return guarded([&] { return read_small(tree::k_target_marker, stop); });
}

void S3Target::do_write_marker(const std::string& text, const std::stop_token& stop) {
  guarded([&] {
    const HttpBody body = text_body(text);
    S3Storing storing;
    storing.content_type = "text/plain";
    const std::string path = tree::k_target_marker;
    client_->put(client_->key_of(path), body, digest_of(body, who(path)), storing, who(path), stop);
  });
}

bool S3Target::do_is_empty(const std::stop_token& stop) {
  return guarded([&] {
    const S3Page page = client_->list(client_->key_of("builds") + "/", "", 1, who("builds"), stop);
    return page.objects.empty();
  });
}

bool S3Target::do_has_build(const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  return guarded([&] { return client_->head(client_->key_of(path), who(path), stop).has_value(); });
}

void S3Target::do_remove(const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  guarded([&] {
    const std::string key = client_->key_of(path);
    client_->remove(key, who(path), stop);
    abort_uploads(key, who(path), stop);
  });
}

Target::Condition S3Target::probe(const std::stop_token& stop) {
  return guarded([&] {
    const std::string path = ".zipmodule/" + random_hex();
    const std::string key = client_->key_of(path);
    const std::string& prefix = client_->options().prefix;
    client_->list(prefix.empty() ? prefix : prefix + "/", "", 1, who("probe"), stop);
    const HttpBody body = text_body("zipmodule wrote this to see whether it can\n");
    S3Storing storing;
    storing.content_type = "text/plain";
    client_->put(key, body, digest_of(body, who(path)), storing, who(path), stop);
    std::array<std::byte, k_pointer_bytes> buffer{};
    S3Object object;
    try {
      object = client_->get(key, "", 0, buffer, who(path), stop);
    } catch (const Error&) {
      take_back(key, who(path));
      throw;
    }
    client_->remove(key, who(path), stop);
    if (std::string_view(reinterpret_cast<const char*>(buffer.data()), object.body_bytes) != body.text) {
      throw Error(ErrorKind::verify, fmt::format("{}: what is read is not what was written", who(path)));
    }
    return Condition{std::nullopt, client_->clock_ahead_seconds()};
  });
}

}  // namespace zipmodule::storage
