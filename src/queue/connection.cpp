#include <fmt/format.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "queue/connection_impl.hpp"

namespace zipmodule::queue {
namespace {

struct OptionsFreer {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};
using OptionList = std::unique_ptr<PQconninfoOption, OptionsFreer>;

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

// The session as all statements expect it. Given as start options, so that no extra round trip is needed.
constexpr const char* k_session =
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c default_transaction_isolation=read\\ committed";

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

std::string connection_string(const ConnectionOptions& options) {
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
  std::string session;
  if (const char* environment = std::getenv("PGOPTIONS")) session = environment;
  for (const PQconninfoOption* option = list.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    if (std::string(option->keyword) == "options") {
      session = option->val;
    } else {
      settings[option->keyword] = option->val;
    }
  }
  settings["options"] = session.empty() ? k_session : session + " " + k_session;
  settings["client_encoding"] = "UTF8";
  std::string text;
  for (const auto& [keyword, value] : settings) text += fmt::format("{}={} ", keyword, quoted(value));
  return text;
}

pqxx::connection& Connection::open() {
  if (!connection_) {
    connection_ = std::make_unique<pqxx::connection>(connection_string(options_));
#if PQXX_VERSION_MAJOR < 7
// Deprecated because libpqxx 7 never reconnects; 6 does unless told so.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    connection_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
  }
  return *connection_;
}

}  // namespace zipmodule::queue
