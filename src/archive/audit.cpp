#include "archive/audit.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/error.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
namespace {

AuditResult bad(std::string problem) { return {false, std::move(problem), std::nullopt}; }

AuditResult audit_content(const Store& store, const ExpectedBuild& expected, ThreadPool& pool,
                          const std::stop_token& stop) {
  const std::string path = store.absolute(expected.file.build_id);
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) throw Error(ErrorKind::io, fmt::format("open {}: {}", path, errno_text(errno)));
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) throw Error(ErrorKind::io, fmt::format("stat {}: {}", path, errno_text(errno)));
  const zip::VerifyReport report = zip::verify_archive(zip::open_archive(fd.get(), path), pool, stop);
  if (!report.ok()) return bad(fmt::format("{} is damaged: {}", expected.file.path(), report.findings.front().text));
  if (report.fingerprint != expected.fingerprint)
    return bad(fmt::format("{} is another archive than the one that was built", expected.file.path()));
  return {true, {}, std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec};
}

}  // namespace

std::string problem_of(BuildState state, const ExpectedBuild& expected) {
  switch (state) {
    case BuildState::good:
      return {};
    case BuildState::touched:
      return fmt::format("{} was written to after it was built", expected.file.path());
    case BuildState::wrong_size:
      return fmt::format("{} does not have its {} bytes any more", expected.file.path(), expected.file.size_bytes);
    case BuildState::missing:
      return fmt::format("{} is gone", expected.file.path());
  }
  return {};
}

AuditResult audit_build(const Store& store, const ExpectedBuild& expected, bool deep, ThreadPool& pool,
                        const std::stop_token& stop) {
  const BuildState state = store.state_of(expected.file);
  if (state == BuildState::missing || state == BuildState::wrong_size) return bad(problem_of(state, expected));
  if (state == BuildState::good && !deep) return {};
  return audit_content(store, expected, pool, stop);
}

}  // namespace zipmodule::archive
