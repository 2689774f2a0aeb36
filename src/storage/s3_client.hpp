// Requests to one bucket. Private to src/storage.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "storage/aws_credentials.hpp"
#include "storage/digest.hpp"
#include "storage/http_client.hpp"
#include "storage/s3_error.hpp"
#include "storage/s3_options.hpp"
#include "storage/s3_xml.hpp"

namespace zipmodule::storage {

// Of an object, or of an answer with a part of it.
struct S3Object {
  std::uint64_t size_bytes = 0;  // of the whole
  std::string etag;              // without quotes; empty: none that promises anything
  std::int64_t time_s = -1;      // Last-Modified, since 1970; -1: unknown
  std::string upload;            // what put or create_upload was told
  std::size_t body_bytes = 0;    // put into the buffer
};

// What a server that stored something tells.
struct S3Stored {
  std::string etag;  // without quotes; empty: none
  std::string md5;   // its MD5, in hex, where the ETag is one: empty where it is encrypted with a key of its own
};

// How an object is stored.
struct S3Storing {
  std::string content_type = "application/zip";
  std::string upload;    // a name of the upload, that a later head tells: x-amz-meta-zipmodule-upload
  std::string redirect;  // x-amz-website-redirect-location, left out where the server refuses it; empty: none
};

// Thread-safe. Every request is signed, its body included; redirects are not followed. What may pass is tried again, as
// HttpClient does, signed anew. Keys are those of the bucket, the prefix of the options included.
//
// Errors begin with `name` ("source media:a/b"), as error_of has them; Error{stopped}.
class S3Client {
 public:
  explicit S3Client(S3Options options);

  const S3Options& options() const noexcept { return options_; }
  std::string key_of(const std::string& path) const;  // below the prefix

  // nullopt where there is no such key (or no such bucket, which an answer without words does not tell apart).
  std::optional<S3Object> head(const std::string& key, const std::string& name, const std::stop_token& stop);

  // The part of the buffer's size from `offset` on. With an ETag, of that version only: Error{source_changed}. Where the
  // object is shorter there is less.
  S3Object get(const std::string& key, const std::string& etag, std::uint64_t offset, std::span<std::byte> buffer,
               const std::string& name, const std::stop_token& stop);

  // Keys that begin with `prefix`, at most so many of them, in their order, from where `token` says; empty: the first.
  S3Page list(const std::string& prefix, const std::string& token, unsigned most, const std::string& name,
              const std::stop_token& stop);

  // `digest`: of the body.
  S3Stored put(const std::string& key, const HttpBody& body, const BodyDigest& digest, const S3Storing& storing,
               const std::string& name, const std::stop_token& stop);
  void remove(const std::string& key, const std::string& name, const std::stop_token& stop);

  // Uploads in parts; create returns the id of one; parts count from 1.
  std::string create_upload(const std::string& key, const S3Storing& storing, const std::string& name,
                            const std::stop_token& stop);
  S3Stored put_part(const std::string& key, const std::string& upload, unsigned part, const HttpBody& body,
                    const BodyDigest& digest, const std::string& name, const std::stop_token& stop);
  // Returns the ETag of the whole; nullopt where the server knows of no such upload, as after an earlier completion whose
  // answer was lost.
  std::optional<std::string> complete_upload(const std::string& key, const std::string& upload,
                                             const std::vector<std::string>& etags, const std::string& name,
                                             const std::stop_token& stop);
  // No error where there is none.
  void abort_upload(const std::string& key, const std::string& upload, const std::string& name,
                    const std::stop_token& stop);
  // Ids of the uploads of this key that have not ended. Empty, too, where the server can't tell, or may not
  // tell these credentials.
  std::vector<std::string> uploads_of(const std::string& key, const std::string& name, const std::stop_token& stop);

  // As the last answer told.
  std::optional<double> clock_ahead_seconds() const;

 private:
  struct Call {
    HttpRequest http;  // without address and signature
    std::string path;  // "/key", without the bucket
    HttpQuery query;
    std::string sha256_hex;
  };

  Call call(const std::string& method, const std::string& key, const std::string& name) const;
  static void add_storing(Call& call, const S3Storing& storing);
  HttpAnswer send_once(const Call& call, const AwsCredentials& credentials, bool anew, const std::stop_token& stop);
  HttpAnswer send(const Call& call, const std::stop_token& stop);
  HttpAnswer ask(const Call& call, const std::stop_token& stop);
  [[noreturn]] void refuse(const S3Refusal& refusal, const std::string& name) const;
  void require_granted(const Call& head, const std::stop_token& stop);

  const S3Options options_;
  AwsCredentialChain credentials_;
  const std::string region_;
  std::string scheme_;  // constant after construction, as below: "https://"
  std::string host_;    // with the port where it is not the scheme's, as it is signed
  std::string base_;    // of all paths: "/bucket" or ""
  HttpClient http_;

  std::atomic<double> clock_ahead_;  // NaN: nobody told yet
};

// Throws Error{source_unreadable}: the answer is no S3 server's.
[[noreturn]] void not_s3(const std::string& name, const std::string& what);

}  // namespace zipmodule::storage
