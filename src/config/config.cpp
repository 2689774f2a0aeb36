#include "config/config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "config/parse.hpp"

namespace zipmodule::config {
namespace {

Machine this_machine() {
  std::array<char, 256> name{};
  const bool named = ::gethostname(name.data(), name.size() - 1) == 0 && name.front() != '\0';
  return {std::thread::hardware_concurrency(), named ? name.data() : "localhost"};
}

std::string read_file(const std::filesystem::path& path) {
  const auto refuse = [&](int error_number) {
    throw Error(ErrorKind::config, fmt::format("configuration file {}: {}", path.string(), errno_text(error_number)),
                "name another with --config FILE or $ZIPMODULE_CONFIG");
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) refuse(EISDIR);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(errno != 0 ? errno : EIO);
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) refuse(errno != 0 ? errno : EIO);
  return std::move(text).str();
}

// The DSN of the environment, for hosts whose configuration file must not hold a password.
std::optional<std::string> dsn_of_environment() {
  const char* dsn = std::getenv("ZIPMODULE_DSN");
  if (dsn == nullptr || *dsn == '\0') return std::nullopt;
  return dsn;
}

void throw_if_any(const std::vector<Problem>& problems) {
  if (problems.empty()) return;
  std::string lines;
  for (const auto& problem : problems) {
    if (!lines.empty()) lines += '\n';
    lines += to_string(problem);
  }
  throw Error(ErrorKind::config, lines);
}

}  // namespace

std::string to_string(const Problem& problem) {
  if (problem.line == 0) return fmt::format("{}: {}", problem.file, problem.text);
  return fmt::format("{}:{}: {}", problem.file, problem.line, problem.text);
}

Config load(const std::filesystem::path& path) {
  auto parsed = parse(read_file(path), path.string(), this_machine());
  throw_if_any(parsed.problems);
  if (auto dsn = dsn_of_environment()) parsed.config.database.dsn = std::move(*dsn);
  return std::move(parsed.config);
}

std::vector<Problem> check(const std::filesystem::path& path) {
  return parse(read_file(path), path.string(), this_machine()).problems;
}

Database load_database(const std::filesystem::path& path) {
  std::error_code ignored;
  if (auto dsn = dsn_of_environment(); dsn && !std::filesystem::exists(path, ignored)) return {std::move(*dsn)};
  auto parsed = parse_database(read_file(path), path.string());
  throw_if_any(parsed.problems);
  if (auto dsn = dsn_of_environment()) parsed.config.database.dsn = std::move(*dsn);
  return std::move(parsed.config.database);
}

}  // namespace zipmodule::config
