// From what libpqxx throws to zipmodule::Error.
#pragma once

#include <string>

namespace zipmodule::queue {

// To be called in a catch block; rethrows an Error as it is, and translates the rest:
//   payload          SQLSTATE class 22: 22023 where publish refused the arguments, others where a text is no JSON, no
//                    interval, no number, or not UTF-8
//   database_setup   login, database, schema, function or right is missing; the hint says what to do
//   database         not reached, lost, or the statement failed; worth another try later
// `dsn` is named without its password.
[[noreturn]] void throw_translated(const std::string& dsn);

}  // namespace zipmodule::queue
