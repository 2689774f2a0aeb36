#include "queue/database_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <pqxx/pqxx>
#include <string_view>

#include "base/error.hpp"
#include "queue/connection.hpp"

namespace zipmodule::queue {
namespace {

constexpr const char* k_migrate = "run: zipmodule migrate";

// The first line without "ERROR:  ", and the HINT line, of a server message of several lines.
struct ServerText {
  std::string message;
  std::string hint;
};

ServerText take_apart(std::string_view text) {
  ServerText parts;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.starts_with("HINT:")) {
      line.remove_prefix(std::min(line.find_first_not_of(' ', 5), line.size()));
      parts.hint = line;
    } else if (parts.message.empty()) {
      for (const std::string_view severity : {"ERROR:", "FATAL:"}) {
        if (line.starts_with(severity)) {
          line.remove_prefix(std::min(line.find_first_not_of(' ', severity.size()), line.size()));
        }
      }
      parts.message = line;
    }
  }
  return parts;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// A failed login has no SQLSTATE in libpq, only its text.
struct LoginTrouble {
  std::string_view text;
  const char* hint;
};
constexpr auto k_login_trouble = std::to_array<LoginTrouble>({
    {"authentication failed", "check user and password in database.dsn, or in ~/.pgpass of the user that runs this"},
    {"no password supplied", "write the password into ~/.pgpass of the user that runs this, or into database.dsn"},
    {"no pg_hba.conf entry", "allow this login in the server's pg_hba.conf"},
    {"database \"", "create the database, or mend dbname in database.dsn"},
    {"role \"", "create the role, or mend user in database.dsn"},
    {"invalid connection option", "mend database.dsn"},
    {"invalid sslmode", "mend database.dsn"},
});

[[noreturn]] void throw_not_connected(const std::string& what, const std::string& dsn) {
  std::string text = what;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (const auto& trouble : k_login_trouble) {
    // "does not exist", "is not permitted to log in", "permission denied": none of them mends itself.
    const bool certain = trouble.text.back() != '"' || contains(text, "does not exist") || contains(text, "permi");
    if (contains(text, trouble.text) && certain) {
      throw Error(ErrorKind::database_setup, fmt::format("can't log in to {}: {}", redacted(dsn), text), trouble.hint);
    }
  }
  throw Error(ErrorKind::database, fmt::format("can't reach the database {}: {}", redacted(dsn), text),
              "see that PostgreSQL runs there and takes connections");
}

// libpqxx 6 forgets the SQLSTATE where it has an exception class for it.
std::string sqlstate_of(const pqxx::sql_error& error) {
  if (!error.sqlstate().empty()) return error.sqlstate();
  if (dynamic_cast<const pqxx::insufficient_privilege*>(&error) != nullptr) return "42501";
  if (dynamic_cast<const pqxx::undefined_table*>(&error) != nullptr) return "42P01";
  if (dynamic_cast<const pqxx::undefined_function*>(&error) != nullptr) return "42883";
  if (dynamic_cast<const pqxx::undefined_column*>(&error) != nullptr) return "42703";
  if (dynamic_cast<const pqxx::data_exception*>(&error) != nullptr) return "22000";
  return {};
}

[[noreturn]] void throw_refused(const pqxx::sql_error& error, const std::string& dsn) {
  const std::string state = sqlstate_of(error);
  const ServerText text = take_apart(error.what());
  if (state.starts_with("22")) throw Error(ErrorKind::payload, text.message, text.hint);
  if (state == "42501") {
    const std::string hint = text.hint.empty()
                                 ? "grant the login what it needs: GRANT zipmodule_worker (or _publisher, "
                                   "_operator) TO ...; to migrate it must be allowed to CREATE in the database"
                                 : text.hint;
    throw Error(ErrorKind::database_setup, fmt::format("{} ({})", text.message, redacted(dsn)), hint);
  }
  // undefined table, function, column, schema, type
  for (const std::string_view missing : {"42P01", "42883", "42703", "3F000", "42704"}) {
    if (state == missing) {
      throw Error(ErrorKind::database_setup, fmt::format("{} ({})", text.message, redacted(dsn)), k_migrate);
    }
  }
  throw Error(ErrorKind::database,
              fmt::format("{} ({}{}{})", text.message, redacted(dsn), state.empty() ? "" : ", SQLSTATE ", state),
              text.hint);
}

}  // namespace

void throw_translated(const std::string& dsn) {
  try {
    throw;
  } catch (const pqxx::sql_error& error) {
    throw_refused(error, dsn);
  } catch (const pqxx::broken_connection& error) {
    throw_not_connected(error.what(), dsn);
  } catch (const pqxx::failure& error) {
    // Among them in_doubt_error, and in libpqxx 6 a rollback without an SQLSTATE.
    throw Error(ErrorKind::database, fmt::format("{} ({})", take_apart(error.what()).message, redacted(dsn)));
  }
}

}  // namespace zipmodule::queue
