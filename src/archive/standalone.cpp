#include "archive/standalone.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>

#include "archive/base_archive.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "storage/local_root.hpp"
#include "zip/output.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_root = "host";  // the whole file system, as the one content root

// While the output is written it is called so, beside where it will be.
constexpr const char* k_part_name = ".zipmodule-zip-XXXXXX";
constexpr const char* k_part_pattern = ".zipmodule-zip-??????";

// With '..' in it, as the kernel walks it, for a folder before may be a symlink; as it stands where that is nowhere.
fs::path resolved(const fs::path& path) {
  const fs::path leaf = path.filename();
  const bool folder = leaf.empty() || leaf == "." || leaf == "..";
  std::error_code nowhere;
  const fs::path real = fs::canonical(folder ? path : path.parent_path(), nowhere);
  if (nowhere) return path;
  return real / (folder ? fs::path() : leaf);
}

// A path of the shell as a source below '/'. 'dir/.' and '.' are what is in the folder, as for rsync.
Listed to_listed(const std::string& given) {
  const fs::path path = fs::absolute(given);
  const bool climbs = std::find(path.begin(), path.end(), "..") != path.end();
  const std::string absolute = (climbs ? resolved(path) : path.lexically_normal()).string();
  return parse_source(fmt::format("{}:{}", k_root, absolute.substr(1)));
}

// Where the output goes: of a symlink, what it leads to, there or not. Throws Error{usage} where that is no regular
// file.
fs::path output_path(const std::string& given) {
  struct stat s {};
  if (::stat(given.c_str(), &s) == 0 && !S_ISREG(s.st_mode)) {
    throw Error(ErrorKind::usage,
                fmt::format("{} is {}", given, S_ISDIR(s.st_mode) ? "a folder" : "a device, FIFO or socket"),
                "name the file to write, such as archive.zip");
  }
  constexpr int k_links_most = 40;  // as the kernel
  fs::path path = given;
  for (int links = 0; ::lstat(path.c_str(), &s) == 0 && S_ISLNK(s.st_mode); ++links) {
    if (links == k_links_most) throw store_error(ELOOP, "write " + given);
    std::error_code failure;
    const fs::path target = fs::read_symlink(path, failure);
    if (failure) throw store_error(failure.value(), "read the symlink " + path.string());
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

fs::path folder_of(const fs::path& path) { return fs::absolute(path).parent_path(); }

// False where another process has it. Where the file system has no locks there are none to be had.
bool lock(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

// Removes what killed ones left in the folder: those whose parts no process has locked.
void remove_leftovers(const fs::path& folder) {
  std::error_code unreadable;
  for (fs::directory_iterator it(folder, unreadable), end; !unreadable && it != end; it.increment(unreadable)) {
    const fs::path& path = it->path();
    if (::fnmatch(k_part_pattern, path.filename().c_str(), 0) != 0) continue;
    const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat s {};
    if (!fd || ::fstat(fd.get(), &s) != 0 || !S_ISREG(s.st_mode)) continue;
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && ::unlink(path.c_str()) == 0)
      log::info("{} is removed: a `zipmodule zip` that was killed left it", path.string());
  }
}

// The output while it is written: removed unless committed, and locked, so that nobody takes it for a leftover.
class OutputFile {
 public:
  explicit OutputFile(const fs::path& final_path) : final_path_(final_path) {
    while (!create()) continue;
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

  // Its time becomes that of its beginning: what is written to a source meanwhile or later is newer than the archive.
  void commit(const timespec& begun, bool sync) {
    const timespec times[2] = {begun, begun};
    if (::futimens(fd_.get(), times) != 0) throw store_error(errno, "set the time of " + path_);
    if (sync) fsync_or_throw(fd_.get(), path_);
    // Every close tells of what could not be written; the lock goes with the last one, after the rename.
    close_or_throw(Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), path_);
    if (::rename(path_.c_str(), final_path_.c_str()) != 0)
      throw store_error(errno, fmt::format("rename {} to {}", path_, final_path_.string()));
    path_.clear();
    const fs::path folder = folder_of(final_path_);
    if (sync) fsync_or_throw(open_directory(folder).get(), folder);
  }

 private:
  // False where another process took it for a leftover before it was locked.
  bool create() {
    path_ = folder_of(final_path_) / k_part_name;
    fd_ = Fd(::mkostemp(path_.data(), O_CLOEXEC));
    if (!fd_) {
      const int saved = errno;
      path_.clear();
      throw store_error(saved, "create a file beside " + final_path_.string());
    }
    struct stat s {};
    return lock(fd_.get()) && ::fstat(fd_.get(), &s) == 0 && s.st_nlink > 0;
  }

  const fs::path final_path_;
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

std::unique_ptr<Plan> plan_of(const StandaloneRequest& request, const fs::path& output, const Roots& roots,
                              const std::stop_token& stop) {
  std::vector<Listed> list;
  for (const std::string& path : request.paths) list.push_back(to_listed(path));
  PlanOptions options = request.plan;
  std::vector<std::string> patterns = request.exclude;
  patterns.emplace_back(k_part_pattern);
  options.exclude = std::make_shared<storage::Exclusion>(patterns);
  options.excluded = storage::LocalRoot::file_at(output);
  return make_plan(list, roots, options, stop);
}

}  // namespace

StandaloneResult write_standalone(const StandaloneRequest& request, const zip::Resources& resources,
                                  const std::stop_token& stop, BuildProgress& progress) {
  const fs::path output_at = output_path(request.output);
  remove_leftovers(folder_of(output_at));
  timespec begun{};
  ::clock_gettime(CLOCK_REALTIME, &begun);
  Roots roots;
  roots.emplace(k_root, std::make_shared<storage::LocalRoot>(k_root, "/", ""));
  const auto plan = plan_of(request, output_at, roots, stop);

  StandaloneResult result;
  result.entries = plan->size();
  result.files_excluded = plan->files_excluded();
  result.warnings = plan->warnings();
  result.warned = plan->warned();
  progress.bytes_total = plan->content_bytes();
  zip::WriteOptions options;
  options.level = request.level;
  options.progress = &progress.bytes_done;
  OutputFile output(output_at);
  options.align = request.align && zip::shares_blocks(folder_of(output_at));
  options.write_back = request.sync;
  result.write = request.base ? write_reusing(request, output, *plan, options, resources, stop, result)
                              : zip::write_archive(output.fd(), output.path(), *plan, *plan, options, resources, stop);
  result.fingerprint = zip::verify_against_plan(zip::open_archive(output.fd(), output.path()), *plan);
  output.commit(begun, request.sync);
  return result;
}

}  // namespace zipmodule::archive
