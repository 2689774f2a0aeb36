#include "queue/publisher.hpp"

#include <fmt/format.h>

#include <array>

#include "base/error.hpp"
#include "queue/connection_impl.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

struct PublishOption {
  const char* name;
  const char* type;
};
constexpr auto k_options = std::to_array<PublishOption>({
    {"deliver", "text[]"},
    {"lane", "text"},
    {"level", "text"},
    {"max_wait", "interval"},
    {"metadata", "jsonb"},
    {"mode", "text"},
    {"on_missing", "text"},
    {"priority", "integer"},
    {"quiet", "interval"},
    {"store", "text"},
});

const PublishOption& option_named(const std::string& name) {
  std::string known;
  for (const auto& option : k_options) {
    if (name == option.name) return option;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", option.name);
  }
  throw Error(ErrorKind::usage, fmt::format("unknown publish option '{}'", name), "known are: " + known);
}

// A call that names only the options that are given, so that the defaults stay where they are: in the database.
std::string publish_statement(const std::map<std::string, std::string>& options) {
  std::string sql = "SELECT job_id, revision FROM zipmodule.publish($1, $2, $3::jsonb";
  int parameter = 3;
  for (const auto& [name, value] : options) {
    const auto& option = option_named(name);
    sql += fmt::format(", {} => ${}::{}", option.name, ++parameter, option.type);
  }
  return sql + ")";
}

}  // namespace

Publisher::Publisher(const ConnectionOptions& options) : connection_(std::make_unique<Connection>(options)) {}
Publisher::~Publisher() = default;

Published Publisher::publish(const PublishRequest& request) {
  std::vector<std::string> parameters{request.series, request.archive, request.files_json};
  for (const auto& [name, value] : request.options) parameters.push_back(value);
  for (const auto& parameter : parameters) {
    // libpq ends a parameter at its first zero byte, and would store less than was asked for.
    if (parameter.find('\0') != std::string::npos) {
      throw Error(ErrorKind::payload, "publish arguments must not contain a zero byte");
    }
  }
  const std::string statement = publish_statement(request.options);
  const auto rows =
      connection_->transact([&](pqxx::work& transaction) { return query_with(transaction, statement, parameters); });
  return {rows[0][0].as<std::int64_t>(), rows[0][1].as<std::int64_t>()};
}

bool Publisher::cancel(const std::string& series, const std::string& archive) {
  return connection_->run(sql::cancel, series, archive)[0][0].as<bool>();
}

bool Publisher::retry(const std::string& series, const std::string& archive) {
  return connection_->run(sql::retry, series, archive)[0][0].as<bool>();
}

}  // namespace zipmodule::queue
