// The connection behind Worker, Publisher and Reader.
#pragma once

#include <pqxx/pqxx>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "queue/connection.hpp"
#include "queue/database_error.hpp"

namespace zipmodule::queue {

// Runs one statement with text parameters; the casts stand in the SQL. Not prepared by name: every call is planned for
// its own parameters and today's statistics, for the queue swings between empty and full, and a connection pool between
// us and the server needs to keep no session state.
template <class... Parameters>
pqxx::result query(pqxx::transaction_base& transaction, const char* sql, const Parameters&... parameters) {
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
  return transaction.exec(sql, pqxx::params{parameters...});
#else
  return transaction.exec_params(sql, parameters...);
#endif
}

// The same with as many parameters as the list has.
inline pqxx::result query_with(pqxx::transaction_base& transaction, const std::string& sql,
                               const std::vector<std::string>& parameters) {
#if PQXX_VERSION_MAJOR >= 7
  pqxx::params list;
  list.append_multi(parameters);
  return query(transaction, sql.c_str(), list);
#else
  return query(transaction, sql.c_str(), pqxx::prepare::make_dynamic_params(parameters));
#endif
}

// Listens on a channel: the session's get_notifs() calls `heard` with each notification's payload. Destroyed before the
// session, which serves nothing else afterwards: libpqxx 7.10 keeps `heard` to its end.
class Subscription {
 public:
  using Heard = std::function<void(std::string_view payload)>;

#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
  Subscription(pqxx::connection& session, const std::string& channel, Heard heard) {
    session.listen(channel, [heard = std::move(heard)](const pqxx::notification& got) { heard(got.payload); });
  }
#else
  Subscription(pqxx::connection& session, const std::string& channel, Heard heard)
      : receiver_(session, channel, std::move(heard)) {}

 private:
  struct Receiver : pqxx::notification_receiver {
    Receiver(pqxx::connection& session, const std::string& channel, Heard heard)
        : pqxx::notification_receiver(session, channel), heard_(std::move(heard)) {}
    void operator()(const std::string& payload, int /*backend*/) override { heard_(payload); }
    const Heard heard_;
  };
  Receiver receiver_;
#endif
};

// Connects at the first use. Not thread-safe. After any error the connection is dropped and the next use makes a new
// one: libpqxx 6 would otherwise reconnect by itself in the middle of things.
//
// A session's settings and limits are given as start options, which costs nothing. Where a connection pool refuses or
// ignores these (pgbouncer does one or the other), every transaction sets them for itself: one round trip more for
// each.
class Connection {
 public:
  explicit Connection(ConnectionOptions options) : options_(std::move(options)) {}

  // Calls work(pqxx::work&) in a read committed transaction, commits it and returns what work returned. Throws Error,
  // see database_error.hpp; after Error{database} it is unknown whether the transaction was committed. A session that
  // was cut while nobody used it (a restarted server, a failover, a firewall) is replaced without a word.
  template <class Work>
  auto transact(Work&& work) {
    try {
      std::optional<pqxx::work> begun;
      begin(begun);
      pqxx::work& transaction = *begun;
      if constexpr (std::is_void_v<decltype(work(transaction))>) {
        work(transaction);
        transaction.commit();
      } else {
        auto answer = work(transaction);
        transaction.commit();
        return answer;
      }
    } catch (...) {
      connection_.reset();
      throw_translated(options_.dsn);
    }
  }

  // Calls work(pqxx::connection&), for what is no transaction. Throws Error as transact does.
  template <class Work>
  void use(Work&& work) {
    try {
      work(open());
    } catch (...) {
      connection_.reset();
      throw_translated(options_.dsn);
    }
  }

  // One statement in a transaction of its own.
  template <class... Parameters>
  pqxx::result run(const char* sql, const Parameters&... parameters) {
    return transact([&](pqxx::work& transaction) { return query(transaction, sql, parameters...); });
  }

 private:
  enum class Settings { at_start, in_transaction };

  void begin(std::optional<pqxx::work>& transaction);
  pqxx::connection& open();
  void connect();
  bool pool_ignores_settings();
  void set_locally(pqxx::work& transaction) const;

  const ConnectionOptions options_;

  Settings settings_ = Settings::at_start;
  std::unique_ptr<pqxx::connection> connection_;  // libpqxx 6 can't move one
};

// The connection string that is really used: the dsn, and for what it leaves open our defaults; our start options only
// where `with_settings`. Throws Error{database_setup} if the dsn can't be parsed.
std::string connection_string(const ConnectionOptions& options, bool with_settings = true);

}  // namespace zipmodule::queue
