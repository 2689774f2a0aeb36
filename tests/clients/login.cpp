#include "clients/login.hpp"

#include <fmt/format.h>

#include <exception>

namespace zipmodule::test {

// Roles belong to the cluster, so the name is made from the database's, which is unique in it.
Login::Login(const Site& site, const std::string& group)
    : site_(site), name_(site.database().name() + '_' + (group.empty() ? "stranger" : group)) {
  site_.sql(fmt::format("CREATE ROLE {} LOGIN{}", name_, group.empty() ? "" : " IN ROLE " + group));
}

Login::~Login() {
  try {
    site_.sql("DROP ROLE " + name_);
  } catch (const std::exception&) {
    // A leftover role of a test cluster hurts nobody.
  }
}

Result Login::run(Command command) const {
  command.environment["PGHOST"] = site_.database().server().host;
  command.environment["PGDATABASE"] = site_.database().name();
  command.environment["PGUSER"] = name_;
  for (const auto* other : {"PGPORT", "PGPASSWORD", "PGSERVICE", "PGOPTIONS", "ZIPMODULE_DSN"}) {
    command.environment[other] = std::nullopt;
  }
  return test::run(command);
}

Result Login::psql(const std::string& statements) const {
  Command command;
  command.argv = {"psql", "-XqAt", "-v", "ON_ERROR_STOP=1"};
  command.input = statements + "\n";
  return run(command);
}

}  // namespace zipmodule::test
