#include "queue/item.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

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

// `text` in double quotes; those in it, and backslashes, are escaped by `escape`, or each by itself where that is zero.
void append_quoted(std::string& to, std::string_view text, char escape = '\0') {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') to += escape != '\0' ? escape : c;
    to += c;
  }
  to += '"';
}

// A row's text form, column by column: (1,2.5,"a text",). An empty text is written as null.
class RowText {
 public:
  void null() { begin_column(); }
  void number(std::int64_t value) {
    begin_column();
    fmt::format_to(std::back_inserter(text_), "{}", value);
  }
  void number(double value) {
    begin_column();
    fmt::format_to(std::back_inserter(text_), "{}", value);
  }
  void boolean(bool value) {
    begin_column();
    text_ += value ? 't' : 'f';
  }
  void text(std::string_view value) {
    begin_column();
    if (!value.empty()) append_quoted(text_, value);
  }
  std::string_view end() {
    text_ += ')';
    return text_;
  }

 private:
  void begin_column() { text_ += text_.empty() ? '(' : ','; }

  std::string text_;
};

std::string json_of(const std::vector<std::string>& texts) {
  if (texts.empty()) return {};
  auto json = nlohmann::json::array();
  for (const auto& text : texts) json.push_back(storable(text));
  return json.dump();
}

// In the order of zipmodule.attempt's columns.
void append_row(std::string& to, const Item& item, bool measured) {
  const Attempt& attempt = item.attempt;
  RowText row;
  row.number(static_cast<std::int64_t>(item.i));
  row.number(attempt.lease.job_id);
  row.number(attempt.lease.token);
  row.number(attempt.lease.revision);
  row.text(to_string(attempt.outcome));
  row.text(storable(attempt.error_kind));
  row.text(storable(attempt.error));
  row.text(json_of(attempt.missing));
  row.boolean(item.counts);
  row.boolean(item.retryable);
  if (item.retry_after_seconds)
    row.number(seconds(*item.retry_after_seconds));
  else
    row.null();
  if (item.build) {
    row.text(item.build->build_id);
    row.number(count(item.build->size_bytes));
    row.number(count(item.build->entries));
    row.text(item.build->fingerprint);
    row.number(item.build->mtime_ns);
  } else {
    for (int i = 0; i < 5; ++i) row.null();
  }
  const Measurements& took = attempt.measured;
  for (const double value : {took.build_seconds, took.plan_seconds, took.read_seconds, took.compress_seconds,
                             took.write_seconds, took.sync_seconds, took.commit_seconds, took.cpu_seconds}) {
    measured ? row.number(seconds(value)) : row.null();
  }
  for (const std::uint64_t value :
       {took.files, took.files_reused, took.files_missing, took.bytes_in, took.bytes_out, took.files_excluded}) {
    measured ? row.number(count(value)) : row.null();
  }
  append_quoted(to, row.end(), '\\');
}

}  // namespace

Item item_of(const Lease& lease) {
  Item item;
  item.attempt.lease = lease;
  return item;
}

Item item_of(const Attempt& attempt) {
  Item item;
  item.attempt = attempt;
  return item;
}

Item item_of(const Completion& completion) {
  Item item = item_of(completion.attempt);
  item.attempt.outcome = Outcome::done;
  item.build = completion.build;
  return item;
}

Item item_of(const Failure& failure) {
  Item item = item_of(failure.attempt);
  item.counts = failure.counts;
  item.retryable = failure.retryable;
  item.retry_after_seconds = failure.retry_after_seconds;
  return item;
}

std::string storable(std::string text) {
  if (text.empty()) return text;
  for (std::size_t at = 0; (at = text.find('\0', at)) != std::string::npos;) text.replace(at, 1, "\xEF\xBF\xBD");
  const auto json = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(json).get<std::string>();
}

std::string array_literal(const std::vector<Item>& items, bool measured) {
  std::string literal = "{";
  for (const auto& item : items) {
    if (literal.size() > 1) literal += ',';
    append_row(literal, item, measured);
  }
  return literal + "}";
}

std::string array_literal(const std::vector<std::int64_t>& numbers) {
  return fmt::format("{{{}}}", fmt::join(numbers, ","));
}

std::string array_literal(const std::vector<double>& numbers) { return fmt::format("{{{}}}", fmt::join(numbers, ",")); }

std::string array_literal(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const auto& text : texts) {
    if (literal.size() > 1) literal += ',';
    append_quoted(literal, text, '\\');
  }
  return literal + "}";
}

}  // namespace zipmodule::queue
