// A database user as the CMS, the operators and nobody have one.
#pragma once

#include <string>

#include "system/site.hpp"

namespace zipmodule::test {

// A login that is a member of `group` alone (of nothing where that is empty). `site` must outlive it.
class Login {
 public:
  Login(const Site& site, const std::string& group);
  ~Login();
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

  const std::string& name() const noexcept { return name_; }
  // Runs a program with libpq's variables naming this login and the site's database.
  Result run(Command command) const;
  // Runs statements by psql.
  Result psql(const std::string& statements) const;

 private:
  const Site& site_;
  std::string name_;
};

}  // namespace zipmodule::test
