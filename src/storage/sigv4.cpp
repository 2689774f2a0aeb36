#include "storage/sigv4.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <string_view>

#include "storage/digest.hpp"
#include "storage/http_address.hpp"

namespace zipmodule::storage {
namespace {

constexpr std::string_view k_algorithm = "AWS4-HMAC-SHA256";

// "20150830T123600Z"
std::string timestamp(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// Without blanks at its ends, and one where there were more.
std::string trimmed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::map<std::string, std::string> canonical_headers(const HttpHeaders& headers) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : headers) {
    const auto [place, is_new] = sorted.try_emplace(lower(name), trimmed(value));
    if (!is_new) place->second += "," + trimmed(value);
  }
  return sorted;
}

}  // namespace

std::string canonical_query(const HttpQuery& query) {
  std::vector<std::pair<std::string, std::string>> parts;
  for (const auto& [name, value] : query) parts.emplace_back(encoded_part(name), encoded_part(value));
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const auto& [name, value] : parts) text += fmt::format("{}{}={}", text.empty() ? "" : "&", name, value);
  return text;
}

AwsSignature sign(const AwsRequest& request, const AwsCredentials& credentials, const AwsScope& scope) {
  const std::string time = timestamp(scope.time);
  const std::string day = time.substr(0, 8);
  AwsSignature signature;
  signature.headers.emplace_back("x-amz-date", time);
  if (!credentials.session_token.empty()) {
    signature.headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  HttpHeaders all = request.headers;
  all.insert(all.end(), signature.headers.begin(), signature.headers.end());
  std::string lines;
  std::string names;
  for (const auto& [name, value] : canonical_headers(all)) {
    lines += fmt::format("{}:{}\n", name, value);
    names += (names.empty() ? "" : ";") + name;
  }
  signature.canonical_request = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, encoded_path(request.path),
                                            canonical_query(request.query), lines, names, request.payload_sha256_hex);
  const std::string place = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  signature.string_to_sign =
      fmt::format("{}\n{}\n{}\n{}", k_algorithm, time, place, sha256_hex(signature.canonical_request));
  std::string key = hmac_sha256("AWS4" + credentials.secret, day);
  for (const std::string& part : {scope.region, scope.service, std::string("aws4_request")}) {
    key = hmac_sha256(key, part);
  }
  signature.headers.emplace_back(
      "Authorization", fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", k_algorithm,
                                   credentials.key_id, place, names, hex(hmac_sha256(key, signature.string_to_sign))));
  return signature;
}

}  // namespace zipmodule::storage
