// An archive from paths of this host, without job, store and database: `zipmodule zip`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/base_archive.hpp"
#include "archive/builder.hpp"
#include "zip/level.hpp"

namespace zipmodule::archive {

struct StandaloneRequest {
  std::string output;
  std::vector<std::string> paths;  // as at a shell: 'dir' is the folder, 'dir/' what is in it
  zip::Level level = zip::Level::balanced;
  std::optional<std::string> base;  // an older archive to reuse unchanged entries of
  VerifyReuse verify_reuse = VerifyReuse::sample;
  bool align = true;  // where the file system can share blocks
  bool sync = false;
  std::vector<std::string> exclude;  // as zip.exclude; archives that are being written are left out in any case
  PlanOptions plan;
};

struct StandaloneResult {
  zip::WriteResult write;
  std::uint64_t entries = 0;
  std::uint64_t entries_reused = 0;
  std::string fingerprint;
  std::string base_problem;  // why the base was not used, where it was not
  std::uint64_t files_excluded = 0;
  std::vector<std::string> warnings;  // as the plan's
  std::uint64_t warned = 0;
};

// Writes a hidden file beside the output and renames it when it is whole and verified; an existing output is replaced
// then, and left alone on any error. Of a symlink, what it leads to is the output. What killed ones left in its folder
// is removed first. The output's mtime is when this began, so that a base never passes for newer than what was written
// since. Throws Error{usage} where the output is no regular file, and what make_plan and write_archive throw.
StandaloneResult write_standalone(const StandaloneRequest& request, const zip::Resources& resources,
                                  const std::stop_token& stop, BuildProgress& progress);

}  // namespace zipmodule::archive
