// The YAML configuration as plain values, validated as a whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/place.hpp"

namespace zipmodule::config {

struct Database {
  std::string dsn;  // after $ZIPMODULE_DSN; may hold a password: never print it

  bool operator==(const Database&) const = default;
};

struct Content {
  std::map<std::string, Place> roots;  // by name; local paths are absolute
  // By a root's name: a path below it that has to be there, or the root is away.
  std::map<std::string, std::string> markers{};

  bool operator==(const Content&) const = default;
};

struct Archives {
  std::filesystem::path root;
  std::string store;  // the jobs published for this store are built here, beside those for none
  std::chrono::seconds grace{std::chrono::hours(24)};
  std::uint64_t min_free_bytes = std::uint64_t{1} << 30;
  unsigned mode = 0644;  // of archives, in the store and at targets; folders get the matching search bits
  std::string group;     // a name or a number; empty: the one that the system gives
  std::map<std::string, Target> deliver{};  // by name

  bool operator==(const Archives&) const = default;
};

struct Run {
  std::filesystem::path lock_file{"/run/lock/zipmodule.lock"};
  int lock_busy_exit = 0;
  std::string host;      // defaults to the host's name
  unsigned workers = 0;  // archives at once; resolved: never 0 after load
  unsigned threads = 0;  // resolved: never 0 after load
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;
  std::chrono::seconds max_runtime{std::chrono::minutes(55)};
  std::chrono::seconds linger{0};
  std::chrono::seconds lease{60};
  int max_attempts = 5;
  unsigned lane_max = 0;                              // most archives of one lane at once, over all hosts; 0: no limit
  std::optional<std::filesystem::path> metrics_file;  // for Prometheus' textfile collector
  std::string ping_url;                               // its path may be a secret: never print it; empty: none

  bool operator==(const Run&) const = default;
};

// How long what is history stays in the database.
struct Keep {
  std::chrono::seconds telemetry{std::chrono::hours(24 * 400)};
  std::chrono::seconds runs{std::chrono::hours(24 * 90)};

  bool operator==(const Keep&) const = default;
};

// What `check` warns of.
struct Check {
  std::chrono::seconds late{std::chrono::minutes(10)};         // a due job that nobody takes
  std::chrono::seconds transaction{std::chrono::minutes(60)};  // one that keeps vacuum from its work

  bool operator==(const Check&) const = default;
};

struct Zip {
  std::string level = "balanced";       // store, fast, balanced, small
  std::string on_duplicate = "rename";  // rename, fail
  std::string align = "auto";           // large stored entries, where the store's file system can share blocks; off
  std::string verify_reuse = "sample";  // never, sample, always: how much of what is reused is read again
  bool portable_names = false;          // make names that Windows can't create safe
  bool allow_empty = false;
  // Globs of names that are left out of folders; by default those that no person gives.
  std::vector<std::string> exclude{".DS_Store", "._*", "Thumbs.db", "desktop.ini", "@eaDir", ".nfs*", "lost+found"};

  bool operator==(const Zip&) const = default;
};

struct Limits {
  std::uint64_t max_entries = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{200} << 30;
  unsigned max_depth = 100;

  bool operator==(const Limits&) const = default;
};

struct Log {
  std::optional<std::filesystem::path> file;

  bool operator==(const Log&) const = default;
};

struct Config {
  Database database;
  Content content;
  Archives archives;
  Run run;
  Keep keep;
  Check check;
  Zip zip;
  Limits limits;
  Log log;

  bool operator==(const Config&) const = default;
};

struct Problem {
  std::string file;
  int line = 0;  // 1-based; 0 where the problem has no line
  std::string text;
};
std::string to_string(const Problem& problem);  // "file:line: text"

// What is wrong with a pattern of zip.exclude, or nullopt.
std::optional<std::string> exclude_problem(const std::string& pattern);

// Reads and validates `path`. Unknown keys, wrong types and bad units are problems; all are found, not just the first.
// On any problem throws an Error{config} that lists them all, one per line: "file:line: text". $ZIPMODULE_DSN, where
// set and not empty, replaces database.dsn.
Config load(const std::filesystem::path& path);

// The same without throwing for what is in the file: the problems found, for check-config.
std::vector<Problem> check(const std::filesystem::path& path);

// The database section alone, for verbs that only talk to PostgreSQL: problems in other sections don't keep an operator
// from looking. With $ZIPMODULE_DSN set the file may be absent.
Database load_database(const std::filesystem::path& path);

}  // namespace zipmodule::config
