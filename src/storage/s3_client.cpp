#include "storage/s3_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "storage/http_address.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

// A page has 1,000 keys of at most 1,024 bytes, three times as long when they are encoded, and as much again of XML.
constexpr std::size_t k_page_bytes = std::size_t{8} << 20U;
// The completion of 10,000 parts is answered when the server has looked at all of them.
constexpr int k_completion_timeouts = 4;
// Of 1,000 uploads each, all of one key: nobody has as many.
constexpr unsigned k_most_upload_pages = 100;
constexpr const char* k_upload_header = "x-amz-meta-zipmodule-upload";

std::string amazon_endpoint(const std::string& region) {
  return fmt::format("https://s3.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
}

bool is_address(std::string_view host) {
  return host.starts_with('[') || host.find_first_not_of("0123456789.:") == std::string_view::npos;
}

bool has(const HttpAnswer& answer, const char* name) { return answer.headers.contains(name); }

S3Object object_of(const HttpAnswer& answer) {
  S3Object object;
  object.etag = strong_etag(answer.header("etag"));
  object.time_s = has(answer, "last-modified") ? curl_getdate(answer.header("last-modified").c_str(), nullptr) : -1;
  object.upload = answer.header(k_upload_header);
  object.body_bytes = answer.body_bytes;
  return object;
}

// Amazon's ETag of what came in one piece is its MD5, unless it is encrypted with a key of a key service or the
// client's.
S3Stored stored(const HttpAnswer& answer) {
  const std::string etag = strong_etag(answer.header("etag"));
  const std::string encryption = answer.header("x-amz-server-side-encryption");
  const bool of_content = (encryption.empty() || encryption == "AES256") &&
                          !has(answer, "x-amz-server-side-encryption-customer-algorithm") && etag.size() == 32 &&
                          etag.find_first_not_of("0123456789abcdef") == std::string::npos;
  return {etag, of_content ? etag : std::string()};
}

// A server that knows nothing of web sites says so in one of several ways.
bool redirect_refused(const S3Refusal& refusal) {
  return refusal.status == 501 || refusal.words.code == "NotImplemented" ||
         (refusal.status == 400 && (refusal.words.code.empty() || refusal.words.code == "InvalidArgument" ||
                                    refusal.words.code == "InvalidRequest"));
}

std::string quoted(const std::string& etag) { return "\"" + etag + "\""; }

}  // namespace

void not_s3(const std::string& name, const std::string& what) {
  throw Error(ErrorKind::source_unreadable, fmt::format("{}: {}", name, what),
              "look at the endpoint: is it an S3 server's?");
}

S3Client::S3Client(S3Options options)
    : options_(std::move(options)),
      credentials_({options_.profile, options_.credentials_file}),
      region_([&] {
        const std::string told = options_.region.empty() ? credentials_.region() : options_.region;
        return told.empty() ? std::string("us-east-1") : told;
      }()),
      http_({options_.ca, options_.endpoint.starts_with("http://"), false, options_.connections, options_.timeout}),
      clock_ahead_(std::numeric_limits<double>::quiet_NaN()) {
  std::string endpoint = options_.endpoint.empty() ? amazon_endpoint(region_) : options_.endpoint;
  const auto scheme_end = endpoint.find("://");
  if (scheme_end == std::string::npos) throw Error(ErrorKind::config, "an endpoint begins with https://");
  scheme_ = endpoint.substr(0, scheme_end + 3);
  host_ = lower(endpoint.substr(scheme_end + 3));
  if (const auto slash = host_.find('/'); slash != std::string::npos) {
    base_ = endpoint.substr(scheme_end + 3 + slash);  // some servers have S3 below a path
    host_.resize(slash);
  }
  const std::string default_port = scheme_ == "https://" ? ":443" : ":80";
  if (host_.ends_with(default_port)) host_.resize(host_.size() - default_port.size());
  // No certificate is good for names with a dot before Amazon's, and an IP address has no names below it.
  const bool dots = scheme_ == "https://" && options_.bucket.find('.') != std::string::npos;
  if (options_.path_style || dots || is_address(host_))
    base_ += "/" + options_.bucket;
  else
    host_.insert(0, options_.bucket + ".");
}

std::string S3Client::key_of(const std::string& path) const { return join(options_.prefix, path); }

std::optional<double> S3Client::clock_ahead_seconds() const {
  const double ahead = clock_ahead_;
  return std::isnan(ahead) ? std::nullopt : std::optional(ahead);
}

S3Client::Call S3Client::call(const std::string& method, const std::string& key, const std::string& name) const {
  static const std::string empty_sha256 = sha256_hex("");
  Call made;
  made.http.method = method;
  made.http.name = name;
  made.path = "/" + key;
  made.sha256_hex = empty_sha256;
  return made;
}

void S3Client::add_storing(Call& call, const S3Storing& storing) {
  call.http.headers.emplace_back("content-type", storing.content_type);
  if (!storing.upload.empty()) call.http.headers.emplace_back(k_upload_header, storing.upload);
  if (!storing.redirect.empty()) call.http.headers.emplace_back("x-amz-website-redirect-location", storing.redirect);
}

HttpAnswer S3Client::send_once(const Call& call, const AwsCredentials& credentials, bool anew,
                               const std::stop_token& stop) {
  HttpRequest request = call.http;
  AwsRequest to_sign{call.http.method, base_ + call.path, call.query, call.http.headers, call.sha256_hex};
  to_sign.headers.emplace_back("host", host_);
  to_sign.headers.emplace_back("x-amz-content-sha256", call.sha256_hex);
  const AwsSignature signature = sign(to_sign, credentials, {region_, "s3", std::chrono::system_clock::now()});
  request.headers.emplace_back("Host", host_);  // as it is signed: libcurl writes some addresses in another way
  request.headers.emplace_back("x-amz-content-sha256", call.sha256_hex);
  request.headers.insert(request.headers.end(), signature.headers.begin(), signature.headers.end());
  const std::string query = canonical_query(call.query);
  request.url = fmt::format("{}{}{}{}{}", scheme_, host_, encoded_path(to_sign.path), query.empty() ? "" : "?", query);
  HttpAnswer answer = http_.try_once(request, anew, stop);
  if (const auto ahead = clock_ahead(answer.header("date"))) clock_ahead_ = *ahead;
  return answer;
}

// The last answer, whatever it says. Where credentials are refused and there are others by now, they are tried as well.
HttpAnswer S3Client::send(const Call& call, const std::stop_token& stop) {
  AwsCredentials used;
  const auto persist = [&] {
    return http_.persist(
        call.http.name,
        [&](bool anew) {
          used = credentials_.get(call.http.name, stop);
          return send_once(call, used, anew, stop);
        },
        [](const HttpAnswer& answer) {
          const auto refusal = refusal_of(answer);
          return refusal && may_pass(*refusal);
        },
        stop);
  };
  HttpAnswer answer = persist();
  const auto refusal = refusal_of(answer);
  if (!refusal || !credentials_refused(*refusal)) return answer;
  credentials_.forget(used);
  const AwsCredentials fresh = credentials_.get(call.http.name, stop);
  const bool others = fresh.key_id != used.key_id || fresh.session_token != used.session_token;
  return others ? persist() : answer;
}

void S3Client::refuse(const S3Refusal& refusal, const std::string& name) const {
  throw error_of(refusal, name, options_.bucket, region_);
}

// A success.
HttpAnswer S3Client::ask(const Call& call, const std::stop_token& stop) {
  HttpAnswer answer = send(call, stop);
  if (const auto refusal = refusal_of(answer)) refuse(*refusal, call.http.name);
  return answer;
}

// The answer to a HEAD that is refused has no words: a GET of one byte asks for them.
void S3Client::require_granted(const Call& head, const std::stop_token& stop) {
  Call again = head;
  again.http.method = "GET";
  again.http.headers.emplace_back("range", "bytes=0-0");
  if (const auto told = refusal_of(send(again, stop))) refuse(*told, head.http.name);
}

std::optional<S3Object> S3Client::head(const std::string& key, const std::string& name, const std::stop_token& stop) {
  const Call made = call("HEAD", key, name);
  HttpAnswer answer = send(made, stop);
  auto refusal = refusal_of(answer);
  const auto elsewhere = [&] { return !refusal->words.region.empty() && refusal->words.region != region_; };
  if (refusal && refusal->status != 404 && !may_pass(*refusal) && !elsewhere()) {
    require_granted(made, stop);
    answer = send(made, stop);  // with the credentials that were granted the GET
    refusal = refusal_of(answer);
  }
  if (refusal && refusal->status == 404) return std::nullopt;
  if (refusal) refuse(*refusal, name);
  if (!answer.content_length) not_s3(name, "the server does not tell its size");
  S3Object object = object_of(answer);
  object.size_bytes = *answer.content_length;
  return object;
}

S3Object S3Client::get(const std::string& key, const std::string& etag, std::uint64_t offset,
                       std::span<std::byte> buffer, const std::string& name, const std::stop_token& stop) {
  Call made = call("GET", key, name);
  made.http.buffer = buffer;
  made.http.headers.emplace_back("range", fmt::format("bytes={}-{}", offset, offset + buffer.size() - 1));
  if (!etag.empty()) made.http.headers.emplace_back("if-match", quoted(etag));
  const HttpAnswer answer = ask(made, stop);
  S3Object object = object_of(answer);
  if (answer.status == 206) {
    const auto range = answer.content_range();
    if (!range || range->first != offset || answer.too_long ||
        object.body_bytes != std::min<std::uint64_t>(buffer.size(), range->whole - std::min(range->whole, offset))) {
      not_s3(name, "the server sends another part than was asked for");
    }
    object.size_bytes = range->whole;
  } else {
    if (!answer.content_length || offset > 0) not_s3(name, "the server does not send parts");
    object.size_bytes = *answer.content_length;
  }
  return object;
}

S3Page S3Client::list(const std::string& prefix, const std::string& token, unsigned most, const std::string& name,
                      const std::stop_token& stop) {
  Call made = call("GET", "", name);
  made.query = {{"list-type", "2"}, {"encoding-type", "url"}, {"max-keys", std::to_string(most)}};
  if (!prefix.empty()) made.query.emplace_back("prefix", prefix);
  if (!token.empty()) made.query.emplace_back("continuation-token", token);
  made.http.words_most = k_page_bytes;
  const HttpAnswer answer = ask(made, stop);
  if (answer.too_long) not_s3(name, fmt::format("a page of the bucket's listing has more than {} bytes", k_page_bytes));
  auto page = parse_page(answer.words);
  if (!page) not_s3(name, "the server's listing can't be understood");
  return std::move(*page);
}

S3Stored S3Client::put(const std::string& key, const HttpBody& body, const BodyDigest& digest, const S3Storing& storing,
                       const std::string& name, const std::stop_token& stop) {
  Call made = call("PUT", key, name);
  made.http.body = body;
  made.http.headers.emplace_back("content-md5", digest.md5_base64);
  made.sha256_hex = digest.sha256_hex;
  add_storing(made, storing);
  const HttpAnswer answer = send(made, stop);
  if (const auto refusal = refusal_of(answer)) {
    if (storing.redirect.empty() || !redirect_refused(*refusal)) refuse(*refusal, name);
    S3Storing plain = storing;
    plain.redirect.clear();
    return put(key, body, digest, plain, name, stop);
  }
  return stored(answer);
}

void S3Client::remove(const std::string& key, const std::string& name, const std::stop_token& stop) {
  const Call made = call("DELETE", key, name);
  const auto refusal = refusal_of(send(made, stop));
  const bool gone = refusal && refusal->status == 404 && refusal->words.code != "NoSuchBucket";
  if (refusal && !gone) refuse(*refusal, name);
}

std::string S3Client::create_upload(const std::string& key, const S3Storing& storing, const std::string& name,
                                    const std::stop_token& stop) {
  Call made = call("POST", key, name);
  made.query = {{"uploads", ""}};
  add_storing(made, storing);
  const auto id = parse_upload_id(ask(made, stop).words);
  if (!id) not_s3(name, "the server's answer to an upload can't be understood");
  return *id;
}

S3Stored S3Client::put_part(const std::string& key, const std::string& upload, unsigned part, const HttpBody& body,
                            const BodyDigest& digest, const std::string& name, const std::stop_token& stop) {
  Call made = call("PUT", key, name);
  made.query = {{"partNumber", std::to_string(part)}, {"uploadId", upload}};
  made.http.body = body;
  made.http.headers.emplace_back("content-md5", digest.md5_base64);
  made.sha256_hex = digest.sha256_hex;
  return stored(ask(made, stop));
}

std::optional<std::string> S3Client::complete_upload(const std::string& key, const std::string& upload,
                                                     const std::vector<std::string>& etags, const std::string& name,
                                                     const std::stop_token& stop) {
  Call made = call("POST", key, name);
  made.query = {{"uploadId", upload}};
  made.http.body.text = completion_of(etags);
  made.http.headers.emplace_back("content-type", "application/xml");
  made.http.silence = std::chrono::ceil<std::chrono::seconds>(k_completion_timeouts * options_.timeout);
  made.sha256_hex = sha256_hex(made.http.body.text);
  const HttpAnswer answer = send(made, stop);
  if (const auto refusal = refusal_of(answer)) {
    if (refusal->words.code == "NoSuchUpload") return std::nullopt;
    refuse(*refusal, name);
  }
  auto etag = parse_completed(answer.words);
  if (!etag) not_s3(name, "the server's answer to a completed upload can't be understood");
  return etag;
}

void S3Client::abort_upload(const std::string& key, const std::string& upload, const std::string& name,
                            const std::stop_token& stop) {
  Call made = call("DELETE", key, name);
  made.query = {{"uploadId", upload}};
  const auto refusal = refusal_of(send(made, stop));
  if (refusal && refusal->status != 404) refuse(*refusal, name);
}

std::vector<std::string> S3Client::uploads_of(const std::string& key, const std::string& name,
                                              const std::stop_token& stop) {
  std::vector<std::string> ids;
  std::pair<std::string, std::string> from;
  for (unsigned pages = 1;; ++pages) {
    Call made = call("GET", "", name);
    made.query = {{"uploads", ""}, {"encoding-type", "url"}, {"prefix", key}};
    if (!from.first.empty()) {
      made.query.emplace_back("key-marker", from.first);
      made.query.emplace_back("upload-id-marker", from.second);
    }
    made.http.words_most = k_page_bytes;
    const HttpAnswer answer = send(made, stop);
    if (const auto refusal = refusal_of(answer)) {
      if (refusal->status == 501 || refusal->words.code == "AccessDenied") return ids;
      refuse(*refusal, name);
    }
    const auto page = answer.too_long ? std::nullopt : parse_uploads(answer.words);
    if (!page) not_s3(name, "the server's list of uploads can't be understood");
    for (const S3Upload& upload : page->uploads) {
      if (upload.key == key) ids.push_back(upload.id);
    }
    // In the order of keys, the one that is asked for first.
    const bool others = !page->uploads.empty() && page->uploads.back().key != key;
    std::pair next(page->next_key, page->next_id);
    if (!page->truncated || others || next.first.empty()) return ids;
    if (next == from || pages == k_most_upload_pages) not_s3(name, "the server's list of uploads does not end");
    from = std::move(next);
  }
}

}  // namespace zipmodule::storage
