#include "archive/standalone.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "archive/base_archive.hpp"
#include "base/error.hpp"
#include "storage/local_root.hpp"
#include "zip/output.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_root = "host";  // the whole file system, as the one content root

// A path of the shell as a source below '/'. 'dir/.' and '.' are what is in the folder, as for rsync.
Listed to_listed(const std::string& path) {
  const std::string absolute = fs::absolute(path).lexically_normal().string();
  return parse_source(fmt::format("{}:{}", k_root, absolute.substr(1)));
}

// The output while it is written: removed unless committed.
class OutputFile {
 public:
  explicit OutputFile(const std::string& final_path) : final_path_(final_path) {
    path_ = final_path + ".XXXXXX";
    fd_ = Fd(::mkostemp(path_.data(), O_CLOEXEC));
    if (!fd_) throw store_error(errno, "create a file beside " + final_path);
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd_.get(), 0666 & ~mask) != 0) throw store_error(errno, "chmod " + path_);
  }
  ~OutputFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }

  void commit(bool sync) {
    if (sync) fsync_or_throw(fd_.get(), path_);
    if (::rename(path_.c_str(), final_path_.c_str()) != 0)
      throw store_error(errno, fmt::format("rename {} to {}", path_, final_path_));
    path_.clear();
    const fs::path folder = fs::absolute(final_path_).parent_path();
    if (sync) fsync_or_throw(open_directory(folder).get(), folder);
  }

 private:
  std::string final_path_;
  std::string path_;
  Fd fd_;
};

// Writes with the base; where that turns out to be broken, once more without it.
zip::WriteResult write_reusing(const StandaloneRequest& request, const OutputFile& output, Plan& plan,
                               const zip::WriteOptions& options, const zip::Resources& resources,
                               const std::stop_token& stop, StandaloneResult& result) {
  try {
    BaseArchive base(*request.base, std::nullopt, plan, plan, request.verify_reuse);
    auto written = zip::write_archive(output.fd(), output.path(), plan, base, options, resources, stop);
    result.entries_reused = base.reused();
    return written;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::corrupt) throw;
    result.base_problem = error.what();
  }
  if (::ftruncate(output.fd(), 0) != 0) throw store_error(errno, "truncate " + output.path());
  *options.progress = 0;
  return zip::write_archive(output.fd(), output.path(), plan, plan, options, resources, stop);
}

}  // namespace

StandaloneResult write_standalone(const StandaloneRequest& request, const zip::Resources& resources,
                                  const std::stop_token& stop, BuildProgress& progress) {
  Roots roots;
  roots.emplace(k_root, std::make_unique<storage::LocalRoot>(k_root, "/", ""));
  std::vector<Listed> list;
  for (const std::string& path : request.paths) list.push_back(to_listed(path));
  PlanOptions plan_options = request.plan;
  struct stat existing {};
  if (::stat(request.output.c_str(), &existing) == 0) plan_options.excluded = {existing.st_dev, existing.st_ino};
  const auto plan = make_plan(list, roots, plan_options, stop);

  StandaloneResult result;
  result.entries = plan->size();
  result.warnings = plan->warnings();
  progress.bytes_total = plan->content_bytes();
  zip::WriteOptions options;
  options.level = request.level;
  options.progress = &progress.bytes_done;
  OutputFile output(request.output);
  options.align = request.align && zip::shares_blocks(fs::absolute(request.output).parent_path());
  options.write_back = request.sync;
  result.write = request.base ? write_reusing(request, output, *plan, options, resources, stop, result)
                              : zip::write_archive(output.fd(), output.path(), *plan, *plan, options, resources, stop);
  result.fingerprint = zip::verify_against_plan(zip::open_archive(output.fd(), output.path()), *plan);
  output.commit(request.sync);
  return result;
}

}  // namespace zipmodule::archive
