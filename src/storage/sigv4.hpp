// AWS Signature Version 4, as S3 takes it: a path is encoded once and not normalised. Pure functions. Private to src/storage.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/http_transport.hpp"

namespace zipmodule::storage {

struct AwsCredentials {
  std::string key_id;
  std::string secret;
  std::string session_token;                                     // empty: none
  std::optional<std::chrono::system_clock::time_point> expires;  // nullopt: they don't
};

using HttpQuery = std::vector<std::pair<std::string, std::string>>;

// What is signed. Nothing of it is encoded.
struct AwsRequest {
  std::string method;
  std::string path;  // begins with '/'
  HttpQuery query;
  HttpHeaders headers;  // all that shall be signed, 'host' included
  std::string payload_sha256_hex;
};

struct AwsScope {
  std::string region;
  std::string service;
  std::chrono::system_clock::time_point time;
};

struct AwsSignature {
  HttpHeaders headers;  // to be sent beside those of the request: x-amz-date, x-amz-security-token, Authorization
  // What they are made of, to find out what a server sees differently. The token is in the first, the secret in none.
  std::string canonical_request;
  std::string string_to_sign;
};

AwsSignature sign(const AwsRequest& request, const AwsCredentials& credentials, const AwsScope& scope);

// "a=1&b=%20", sorted, as it is signed and sent.
std::string canonical_query(const HttpQuery& query);

}  // namespace zipmodule::storage
