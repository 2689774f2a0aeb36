// What S3 says and is told in XML. Private to src/storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zipmodule::storage {

// <Error>
struct S3Words {
  std::string code;
  std::string message;
  std::string region;    // that the bucket is in, where it is told
  std::string endpoint;  // likewise
};
// nullopt where the text is no such document.
std::optional<S3Words> parse_error(const std::string& xml);

struct S3Listed {
  std::string key;
  std::uint64_t size_bytes = 0;
  std::string etag;          // without quotes
  std::int64_t time_s = -1;  // since 1970; -1: unknown
};

// ListObjectsV2
struct S3Page {
  std::vector<S3Listed> objects;
  bool truncated = false;
  std::string next;  // continuation token
};
std::optional<S3Page> parse_page(const std::string& xml);

struct S3Upload {
  std::string key;
  std::string id;
};
// ListMultipartUploads
struct S3Uploads {
  std::vector<S3Upload> uploads;
  bool truncated = false;
  std::string next_key;
  std::string next_id;
};
std::optional<S3Uploads> parse_uploads(const std::string& xml);

// InitiateMultipartUploadResult
std::optional<std::string> parse_upload_id(const std::string& xml);
// CompleteMultipartUploadResult; without quotes, and empty where it is not told.
std::optional<std::string> parse_completed(const std::string& xml);

// CompleteMultipartUpload: the ETags of parts 1, 2, ...
std::string completion_of(const std::vector<std::string>& etags);

// Without the quotes that it has in headers and documents; empty for a weak one, which promises nothing.
std::string strong_etag(const std::string& text);

}  // namespace zipmodule::storage
