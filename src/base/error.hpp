// The one error type of zipmodule, and the one table of what each kind of failure means.
//
// Failures are thrown as Error; expected outcomes (no job, lock held by design, source absent) are values. Errors are
// caught in two places: around one job (src/run) and in main.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace zipmodule {

enum class ErrorKind {
  usage,               // the command line is wrong
  config,              // the configuration is wrong, or names less than a job needs
  database,            // PostgreSQL can't be reached, or a statement failed
  database_setup,      // reached, but login, schema or rights are wrong
  schema_version,      // the schema is not the one this binary knows
  lock_held,           // another run holds the lock
  root_away,           // a content root, or a disk below it, is not there now
  source_missing,      // a listed source does not exist
  source_unreadable,   // it exists and may not be read
  source_type,         // neither a regular file nor a directory
  source_outside,      // it leads out of its content root
  source_changed,      // it changed while it was read
  source_unreachable,  // its host does not answer
  source_refused,      // its host, or we, refuse to talk: login, host key, no such bucket
  target_unreachable,  // the host that archives are delivered to does not answer
  target_refused,      // it, or we, refuse to talk
  target_unwritable,   // nothing can be written there
  source_name,         // its name can't stand in an archive
  name_conflict,       // two entries can't stand beside each other
  limit,               // more than the configured limits
  empty,               // an archive without entries
  payload,             // a stored file list that can't be understood
  disk_full,           // no space left in the store
  disk_reserve,        // building would leave less than archives.min_free
  store_unwritable,    // the store can't be written
  io,                  // reading or writing failed
  open_files,          // this process, or the host, has no descriptor left to open a file with
  threads,             // this process, its user or its container may start no further thread
  verify,              // what was written is not what was read
  corrupt,             // an archive that breaks the format
  lease_lost,          // the job belongs to another worker now
  cancelled,           // the publisher cancelled the job
  stopped,             // the run was asked to stop
  internal,            // a bug
};

// What each kind means outside: the text code in telemetry and messages, the exit code when it ends a command, whether
// a later attempt can succeed, and whether a failed attempt of this kind counts towards run.max_attempts.
struct ErrorTraits {
  ErrorKind kind;
  std::string_view code;
  int exit_code;
  bool retryable;
  bool counts_attempt;
};

const ErrorTraits& traits_of(ErrorKind kind) noexcept;
std::optional<ErrorKind> error_kind_from_code(std::string_view code) noexcept;

class Error : public std::runtime_error {
 public:
  // `message`: lowercase, names the object, carries the system's own text. `hint`: what to do, may be empty.
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

  ErrorKind kind() const noexcept { return kind_; }
  std::string_view code() const noexcept { return traits_of(kind_).code; }
  bool retryable() const noexcept { return traits_of(kind_).retryable; }
  const std::string& hint() const noexcept { return hint_; }
  // message, and the hint in brackets where there is one
  std::string full_text() const;

 private:
  ErrorKind kind_;
  std::string hint_;
};

// The text of an errno value, in a thread-safe way.
std::string errno_text(int error_number);

// The Error where a file can't be opened for lack of descriptors (EMFILE, ENFILE), which says nothing about the file;
// nullopt for every other errno.
std::optional<Error> descriptors_error(int error_number, const std::string& doing);

// The Error for a failed write to the store: ENOSPC, EDQUOT -> disk_full; EROFS, EACCES, EPERM -> store_unwritable;
// EMFILE, ENFILE -> open_files; all else io, EFBIG with a hint at the limit of file sizes. `doing` reads like "write
// /srv/archives/tmp/x".
Error store_error(int error_number, const std::string& doing);

}  // namespace zipmodule
