#include "base/error.hpp"

#include <cerrno>
#include <set>
#include <string>

#include "support/catch.hpp"

namespace zipmodule {
namespace {

constexpr auto k_last = ErrorKind::internal;

TEST_CASE("every kind has a code of its own, and the code leads back to it") {
  std::set<std::string_view> codes;
  for (int i = 0; i <= static_cast<int>(k_last); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    CHECK(traits_of(kind).kind == kind);
    CHECK(codes.insert(traits_of(kind).code).second);
    CHECK(error_kind_from_code(traits_of(kind).code) == kind);
  }
  CHECK_FALSE(error_kind_from_code("no such code"));
}

TEST_CASE("exit codes are those of the contract") {
  CHECK(traits_of(ErrorKind::usage).exit_code == 64);
  CHECK(traits_of(ErrorKind::database).exit_code == 69);
  CHECK(traits_of(ErrorKind::database_setup).exit_code == 78);
  CHECK(traits_of(ErrorKind::schema_version).exit_code == 78);
  CHECK(traits_of(ErrorKind::config).exit_code == 78);
  CHECK(traits_of(ErrorKind::store_unwritable).exit_code == 73);
  CHECK(traits_of(ErrorKind::disk_full).exit_code == 73);
  CHECK(traits_of(ErrorKind::io).exit_code == 74);
  CHECK(traits_of(ErrorKind::lock_held).exit_code == 75);
}

TEST_CASE("trouble of the store and of the database burns no attempt") {
  for (const auto kind : {ErrorKind::disk_full, ErrorKind::disk_reserve, ErrorKind::store_unwritable,
                          ErrorKind::database, ErrorKind::open_files, ErrorKind::lease_lost, ErrorKind::stopped}) {
    INFO(traits_of(kind).code);
    CHECK_FALSE(traits_of(kind).counts_attempt);
    CHECK(traits_of(kind).retryable);
  }
}

TEST_CASE("what no retry can mend is not retried") {
  for (const auto kind : {ErrorKind::source_type, ErrorKind::source_outside, ErrorKind::source_name,
                          ErrorKind::name_conflict, ErrorKind::limit, ErrorKind::empty, ErrorKind::payload}) {
    INFO(traits_of(kind).code);
    CHECK_FALSE(traits_of(kind).retryable);
  }
}

TEST_CASE("the full text is the message with the hint in brackets") {
  CHECK(Error(ErrorKind::io, "read x: gone").full_text() == "read x: gone");
  CHECK(Error(ErrorKind::io, "read x: gone", "put it back").full_text() == "read x: gone (put it back)");
}

TEST_CASE("a failed write to the store is told apart by its errno") {
  CHECK(store_error(EMFILE, "create x").kind() == ErrorKind::open_files);
  CHECK(store_error(ENFILE, "create x").kind() == ErrorKind::open_files);
  CHECK(store_error(ENOSPC, "write x").kind() == ErrorKind::disk_full);
  CHECK(store_error(EDQUOT, "write x").kind() == ErrorKind::disk_full);
  CHECK(store_error(EACCES, "write x").kind() == ErrorKind::store_unwritable);
  CHECK(store_error(EPERM, "write x").kind() == ErrorKind::store_unwritable);
  CHECK(store_error(EROFS, "write x").kind() == ErrorKind::store_unwritable);
  CHECK(store_error(EIO, "write x").kind() == ErrorKind::io);
  CHECK(store_error(EFBIG, "write x").kind() == ErrorKind::io);
  CHECK(store_error(EFBIG, "write x").hint().find("ulimit -f") != std::string::npos);
}

TEST_CASE("the message of a failed write names the object and carries the system's text") {
  const std::string text = store_error(ENOSPC, "write /srv/archives/tmp/x").what();
  CHECK(text.find("/srv/archives/tmp/x") != std::string::npos);
  CHECK(text.find("No space left on device") != std::string::npos);
  CHECK_FALSE(store_error(ENOSPC, "write x").hint().empty());
}

}  // namespace
}  // namespace zipmodule
