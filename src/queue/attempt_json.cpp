#include "queue/attempt_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace zipmodule::queue {
namespace {

// The most that a timestamp can be moved by without a thought: thirty years. A nonsensical measurement must not cost a
// good build its commit.
constexpr double k_most_seconds = 1e9;

double seconds(double value) { return value > 0 ? std::min(value, k_most_seconds) : 0; }  // NaN becomes 0

std::int64_t count(std::uint64_t value) {
  constexpr auto k_most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return static_cast<std::int64_t>(std::min(value, k_most));
}

}  // namespace

std::string storable(std::string text) {
  for (std::size_t at = 0; (at = text.find('\0', at)) != std::string::npos;) text.replace(at, 1, "\xEF\xBF\xBD");
  return nlohmann::json::parse(to_text(text)).get<std::string>();
}

nlohmann::json to_json(const Lease& lease) {
  return {{"job_id", lease.job_id}, {"token", lease.token}, {"revision", lease.revision}};
}

nlohmann::json to_json(const Attempt& attempt) {
  const Measurements& measured = attempt.measured;
  nlohmann::json json = to_json(attempt.lease);
  json["outcome"] = to_string(attempt.outcome);
  json["error_kind"] = storable(attempt.error_kind);
  json["error"] = storable(attempt.error);
  if (!attempt.missing.empty()) {
    auto& missing = json["missing"] = nlohmann::json::array();
    for (const auto& source : attempt.missing) missing.push_back(storable(source));
  }
  json["build_seconds"] = seconds(measured.build_seconds);
  json["plan_seconds"] = seconds(measured.plan_seconds);
  json["read_seconds"] = seconds(measured.read_seconds);
  json["compress_seconds"] = seconds(measured.compress_seconds);
  json["write_seconds"] = seconds(measured.write_seconds);
  json["sync_seconds"] = seconds(measured.sync_seconds);
  json["commit_seconds"] = seconds(measured.commit_seconds);
  json["cpu_seconds"] = seconds(measured.cpu_seconds);
  json["files"] = count(measured.files);
  json["files_reused"] = count(measured.files_reused);
  json["files_missing"] = count(measured.files_missing);
  json["bytes_in"] = count(measured.bytes_in);
  json["bytes_out"] = count(measured.bytes_out);
  return json;
}

nlohmann::json to_json(const Completion& completion) {
  nlohmann::json json = to_json(completion.attempt);
  json["outcome"] = to_string(Outcome::done);
  json["build_id"] = completion.build.build_id;
  json["path"] = completion.build.path;
  json["bytes"] = count(completion.build.size_bytes);
  json["entries"] = count(completion.build.entries);
  json["fingerprint"] = completion.build.fingerprint;
  json["mtime_ns"] = completion.build.mtime_ns;
  return json;
}

nlohmann::json to_json(const Failure& failure) {
  nlohmann::json json = to_json(failure.attempt);
  json["counts"] = failure.counts;
  json["retryable"] = failure.retryable;
  if (failure.retry_after_seconds) json["retry_after"] = seconds(*failure.retry_after_seconds);
  return json;
}

std::string to_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string to_text(const std::vector<nlohmann::json>& batch) {
  std::string text = "[";
  for (const auto& item : batch) {
    if (text.size() > 1) text += ',';
    text += to_text(item);
  }
  return text + "]";
}

std::string array_literal(const std::vector<std::int64_t>& numbers) {
  return fmt::format("{{{}}}", fmt::join(numbers, ","));
}

std::string array_literal(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const auto& text : texts) {
    literal += literal.size() > 1 ? ",\"" : "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') literal += '\\';
      literal += c;
    }
    literal += '"';
  }
  return literal + "}";
}

}  // namespace zipmodule::queue
