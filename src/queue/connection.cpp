#include <fmt/format.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/freer.hpp"
#include "queue/connection_impl.hpp"

namespace zipmodule::queue {
namespace {

using OptionList = std::unique_ptr<PQconninfoOption, Freer<PQconninfoFree>>;

// Null if the dsn can't be parsed. libpq's own message is dropped on purpose: it quotes the place where it stumbled,
// which is often within the password.
OptionList parse(const std::string& dsn) {
  char* message = nullptr;
  OptionList list(PQconninfoParse(dsn.c_str(), &message));
  PQfreemem(message);
  return list;
}

bool is_secret(const PQconninfoOption& option) { return option.dispchar != nullptr && option.dispchar[0] == '*'; }

std::string quoted(const std::string& value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

// The session as all statements expect it. Names of ours are qualified; without a search_path, nobody else's operator or
// function can take the place of the server's own, whoever may create some in the schema public.
constexpr const char* k_session =
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c default_transaction_isolation=read\\ committed "
    "-c search_path=pg_catalog,pg_temp";
constexpr const char* k_session_in_transaction =
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; "
    "SET LOCAL IntervalStyle = 'postgres'; SET LOCAL search_path = pg_catalog, pg_temp";
// Means nothing to the server; tells whether start options came through to it.
constexpr const char* k_mark = " -c zipmodule.session=set";
constexpr const char* k_read_mark = "SELECT coalesce(current_setting('zipmodule.session', true), '') = 'set'";

// What the operator wrote into the dsn's options, or into PGOPTIONS.
std::string operators_options(const PQconninfoOption* list) {
  for (const PQconninfoOption* option = list; option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) == "options" && option->val != nullptr) return option->val;
  }
  const char* environment = std::getenv("PGOPTIONS");
  return environment != nullptr ? environment : "";
}

struct Limit {
  const char* name;
  std::chrono::milliseconds value;
};

std::vector<Limit> limits_to_set(const SessionLimits& limits, const std::string& operators) {
  std::vector<Limit> chosen;
  for (const Limit& limit : {Limit{"statement_timeout", limits.statement}, Limit{"lock_timeout", limits.lock},
                             Limit{"idle_in_transaction_session_timeout", limits.idle_in_transaction}}) {
    if (limit.value.count() > 0 && operators.find(limit.name) == std::string::npos) chosen.push_back(limit);
  }
  return chosen;
}

}  // namespace

std::string redacted(const std::string& dsn) {
  const OptionList list = parse(dsn);
  if (!list) return "(a dsn that can't be parsed)";
  std::string text;
  for (const PQconninfoOption* option = list.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || is_secret(*option)) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", option->keyword, option->val);
  }
  return text.empty() ? "(the default connection)" : text;
}

std::string connection_string(const ConnectionOptions& options, bool with_settings) {
  const OptionList list = parse(options.dsn);
  if (!list) {
    throw Error(ErrorKind::database_setup, "database.dsn can't be parsed",
                "write it as \"host=... dbname=... user=...\", with values that have blanks in single quotes, or as "
                "postgresql://user@host/dbname");
  }
  std::map<std::string, std::string> settings{
      // A dead server is noticed within the third of a default lease, instead of TCP's two hours.
      {"connect_timeout", "10"}, {"keepalives_idle", "10"},     {"keepalives_interval", "5"},
      {"keepalives_count", "3"}, {"tcp_user_timeout", "30000"}, {"fallback_application_name", "zipmodule"},
  };
  if (std::getenv("PGCONNECT_TIMEOUT") != nullptr) settings.erase("connect_timeout");
  if (!options.application_name.empty()) settings["fallback_application_name"] = options.application_name;
  for (const PQconninfoOption* option = list.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) settings[option->keyword] = option->val;
  }
  const std::string operators = operators_options(list.get());
  if (with_settings) {
    std::string session = operators;
    for (const auto& limit : limits_to_set(options.limits, operators)) {
      session += fmt::format(" -c {}={}", limit.name, limit.value.count());
    }
    settings["options"] = session + (session.empty() ? "" : " ") + k_session + k_mark;
  }
  settings["client_encoding"] = "UTF8";
  std::string text;
  for (const auto& [keyword, value] : settings) text += fmt::format("{}={} ", keyword, quoted(value));
  return text;
}

void Connection::connect() {
  connection_ = std::make_unique<pqxx::connection>(connection_string(options_, settings_ == Settings::at_start));
#if PQXX_VERSION_MAJOR < 7
// Deprecated because libpqxx 7 never reconnects; 6 does unless told so.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
}

bool Connection::pool_ignores_settings() {
  pqxx::nontransaction transaction(*connection_);
  return !query(transaction, k_read_mark)[0][0].as<bool>();
}

pqxx::connection& Connection::open() {
  if (connection_) return *connection_;
  if (settings_ == Settings::in_transaction) {
    connect();
    return *connection_;
  }
  try {
    connect();
  } catch (const pqxx::broken_connection& error) {
    // "unsupported startup parameter: options", and since pgbouncer 1.20 "... in options: <name>"
    if (std::string_view(error.what()).find("unsupported startup parameter") == std::string_view::npos) throw;
    settings_ = Settings::in_transaction;
    connect();
    return *connection_;
  }
  // One round trip for each connection: a run makes two or three.
  if (pool_ignores_settings()) settings_ = Settings::in_transaction;
  return *connection_;
}

void Connection::begin(std::optional<pqxx::work>& transaction) {
  const bool used_before = connection_ != nullptr;
  try {
    transaction.emplace(open());
  } catch (const pqxx::failure&) {
    // Nothing has happened yet, so nothing can happen twice.
    if (!used_before) throw;
    connection_.reset();
    transaction.emplace(open());
  }
  if (settings_ == Settings::in_transaction) set_locally(*transaction);
}

void Connection::set_locally(pqxx::work& transaction) const {
  std::string settings = k_session_in_transaction;
  const OptionList list = parse(options_.dsn);
  for (const auto& limit : limits_to_set(options_.limits, operators_options(list.get()))) {
    settings += fmt::format("; SET LOCAL {} = {}", limit.name, limit.value.count());
  }
  transaction.exec(settings);
}

}  // namespace zipmodule::queue
