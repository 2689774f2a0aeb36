#include "storage/s3_error.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string_view>

#include "base/terminal_text.hpp"
#include "storage/http_client.hpp"
#include "storage/target.hpp"

namespace zipmodule::storage {
namespace {

// A server's message is repeated so far.
constexpr std::size_t k_message_bytes = 300;

bool is_one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// "403 AccessDenied: Access Denied". The message of a refused signature has the string that was to be signed, and that
// of a refused key the key's id.
std::string told(const S3Refusal& refusal) {
  std::string text = fmt::format("{}", refusal.status);
  if (!refusal.words.code.empty()) text += " " + printable(refusal.words.code.substr(0, k_message_bytes));
  if (!refusal.words.message.empty() && !credentials_refused(refusal)) {
    text += ": " + printable(refusal.words.message.substr(0, k_message_bytes));
  }
  return text;
}

bool names_other_region(const S3Refusal& refusal, const std::string& region) {
  const bool told = !refusal.words.region.empty() && refusal.words.region != region;
  return (told && refusal.status == 400) || refusal.status == 301 || refusal.status == 307 ||
         refusal.words.code == "PermanentRedirect" || refusal.words.code == "TemporaryRedirect" ||
         refusal.words.code == "AuthorizationHeaderMalformed" ||
         refusal.words.code == "IllegalLocationConstraintException";
}

Error other_region(const S3Refusal& refusal, const std::string& text, const std::string& region) {
  const std::string other = printable(refusal.words.region.substr(0, 64));
  if (!other.empty() && other != region) {
    return {ErrorKind::source_refused, fmt::format("{} (the bucket is in region {}, not {})", text, other, region),
            fmt::format("configure region: {}", other)};
  }
  if (!refusal.words.endpoint.empty()) {
    return {ErrorKind::source_refused, text,
            fmt::format("configure the bucket's region; its endpoint is {}", printable(refusal.words.endpoint))};
  }
  return {ErrorKind::source_refused, text, "configure the region and endpoint that the bucket is in"};
}

}  // namespace

std::optional<S3Refusal> refusal_of(const HttpAnswer& answer) {
  const auto words = parse_error(answer.words);
  if (answer.is_success() && !words) return std::nullopt;
  S3Refusal refusal{answer.status, words.value_or(S3Words{}), answer.header("date")};
  if (refusal.words.region.empty()) refusal.words.region = answer.header("x-amz-bucket-region");
  return refusal;
}

bool may_pass(const S3Refusal& refusal) {
  if (refusal.words.code == "RequestTimeTooSkewed") return false;
  return status_may_pass(refusal.status) ||
         is_one_of(refusal.words.code, {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable",
                                        "OperationAborted", "Throttling", "RequestLimitExceeded"});
}

bool credentials_refused(const S3Refusal& refusal) {
  return refusal.status == 401 ||
         is_one_of(refusal.words.code, {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                                        "TokenRefreshRequired", "NotSignedUp", "AccountProblem", "InvalidSecurity",
                                        "InvalidClientTokenId"});
}

std::optional<double> clock_ahead(const std::string& date) {
  const auto there = date.empty() ? -1 : curl_getdate(date.c_str(), nullptr);
  if (there < 0) return std::nullopt;
  const auto here = std::chrono::system_clock::now().time_since_epoch();
  // Its seconds are whole: half of one is the least error.
  return static_cast<double>(there) + 0.5 - std::chrono::duration<double>(here).count();
}

Error error_of(const S3Refusal& refusal, const std::string& name, const std::string& bucket,
               const std::string& region) {
  const std::string& code = refusal.words.code;
  const std::string text = fmt::format("{}: the S3 server answers {}", name, told(refusal));
  if (code == "RequestTimeTooSkewed") {
    const auto ahead = clock_ahead(refusal.date);
    const std::string skew = ahead ? fmt::format(" ({})", clock_text(*ahead)) : "";
    return {ErrorKind::source_refused, text + skew, "set this host's clock: NTP keeps it right"};
  }
  if (names_other_region(refusal, region)) return other_region(refusal, text, region);
  if (credentials_refused(refusal)) {
    return {ErrorKind::source_refused, text, "give the user that runs zipmodule credentials that are valid there"};
  }
  if (code == "NoSuchBucket") {
    return {ErrorKind::source_refused, fmt::format("{} (there is no bucket {})", text, bucket),
            "create the bucket, or correct its name, region or endpoint in the configuration"};
  }
  if (is_one_of(code, {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "InvalidPart", "EntityTooSmall"})) {
    return {ErrorKind::verify, text, "what arrived is not what was sent: try again, and look at what is in between"};
  }
  if (code == "InvalidObjectState") {
    return {ErrorKind::source_unreadable, text, "it is in an archive class: have the bucket's owner restore it first"};
  }
  if (refusal.status == 404 || refusal.status == 410) {
    return {ErrorKind::source_missing, text, "put it there, or publish a list without it"};
  }
  if (refusal.status == 412 || refusal.status == 416 || code == "PreconditionFailed" || code == "InvalidRange") {
    return {ErrorKind::source_changed, text, "publish when its writer is finished"};
  }
  if (may_pass(refusal)) {
    return {ErrorKind::source_unreachable, text, "it is overloaded or broken: look at its operator's status page"};
  }
  if (refusal.status == 403) {
    return {ErrorKind::source_unreadable, text,
            "let these credentials do it (what is missing is refused, too, where they may not list the bucket)"};
  }
  return {ErrorKind::source_unreadable, text, "look into the server's documentation of that code"};
}

}  // namespace zipmodule::storage
