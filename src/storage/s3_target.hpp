// Archives delivered to a bucket.
//
//   <prefix>/.zipmodule.target               which target it is
//   <prefix>/builds/ab/abcdef....zip         the archive, application/zip
//   <prefix>/public/<series>/<archive>.zip   a small text: the key of the archive and a line break. Where the bucket is served
//                                            as a web site, its x-amz-website-redirect-location sends browsers on.
//
// An object is there when it is whole: no half archive is ever seen. Needed rights: s3:ListBucket, GetObject,
// PutObject, DeleteObject, AbortMultipartUpload; with ListBucketMultipartUploads what a killed upload left is found and
// ended (a lifecycle rule, AbortIncompleteMultipartUpload, does the same).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/s3_options.hpp"
#include "storage/target.hpp"

namespace zipmodule::storage {

class S3Client;

// Up to 16 MiB go in one request, more in parts by up to four threads; no part is held in memory. Every request has the
// SHA-256 and the MD5 of what it sends, which the server checks; size and ETag are looked at once more at the end.
class S3Target final : public Target {
 public:
  S3Target(std::string name, S3Options options);
  ~S3Target() override;

  unsigned parallel() const noexcept override;
  Condition probe(const std::stop_token& stop) override;

 private:
  std::optional<std::string> do_read_marker(const std::stop_token& stop) override;
  void do_write_marker(const std::string& text, const std::stop_token& stop) override;
  bool do_is_empty(const std::stop_token& stop) override;
  bool do_has_build(const std::string& build_id, const std::stop_token& stop) override;
  // Of two hosts that put the same build at the same time one may fail, with Error{verify}: each ends the other's
  // upload.
  std::uint64_t do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) override;
  void do_point(const tree::Link& link, const std::stop_token& stop) override;
  // Looks, then deletes: what another one points elsewhere in between is lost.
  bool do_unpoint(const tree::Link& link, const std::stop_token& stop) override;
  void do_remove(const std::string& build_id, const std::stop_token& stop) override;

  struct Upload;

  std::optional<std::string> read_small(const std::string& path, const std::stop_token& stop);
  template <class Work>
  auto guarded(Work work) const;
  void put_whole(const Upload& upload, const std::stop_token& stop);
  void put_in_parts(const Upload& upload, const std::stop_token& stop);
  std::vector<std::string> send_parts(const Upload& upload, const std::string& id, const std::stop_token& stop);
  std::string send_part(const Upload& upload, const std::string& id, unsigned part, const std::stop_token& stop);
  void require_there(const Upload& upload, const std::optional<std::string>& etag, const std::stop_token& stop);
  void take_back(const std::string& key, const std::string& who);
  void abort_uploads(const std::string& key, const std::string& who, const std::stop_token& stop);
  std::string who(const std::string& path) const;

  const std::unique_ptr<S3Client> client_;
};

}  // namespace zipmodule::storage
