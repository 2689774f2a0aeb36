#include "storage/sftp_root.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "storage/file_status.hpp"
#include "storage/sftp_host.hpp"
#include "storage/sftp_walk.hpp"

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;

// What is read in one piece: requests for all of it are on their way before the first answer is awaited. Four times as much
// is the most that libssh2 asks ahead.
constexpr std::size_t k_piece_bytes = std::size_t{2} << 20U;
// How far clocks of hosts may differ for a change to be seen: see SftpRoot.
constexpr std::int64_t k_clocks_differ_ns = 60'000'000'000;
// For how long an answer to where a folder really is is good, and how many are kept.
constexpr std::chrono::seconds k_known{30};
constexpr std::size_t k_known_most = 10'000;

std::uint64_t hash_of(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

std::string join(const std::string& parent, const std::string& child) {
  if (parent.empty() || child.empty()) return parent + child;
  return parent.back() == '/' ? parent + child : parent + '/' + child;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

// A file that is listed, read by sessions that open it when they need to. Each one makes sure that it has the listed version.
class SftpFile final : public File {
 public:
  SftpFile(const SftpRoot& root, std::string path, const FileStatus& listed, std::stop_token stop)
      : File(root.full_name(path)), root_(root), path_(std::move(path)), listed_(listed), stop_(std::move(stop)) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    const bool whole = offset == 0 && buffer.size() == listed_.size_bytes;
    std::size_t got = 0;
    while (got < buffer.size()) {
      const auto piece = buffer.subspan(got, std::min(k_piece_bytes, buffer.size() - got));
      const std::size_t n = read_piece(offset + got, piece, whole && got + piece.size() == buffer.size());
      got += n;
      if (n < piece.size()) break;
    }
    return got;
  }

  void require_unchanged() override {
    if (!verified_.exchange(false)) read_piece(0, {}, true);
    verified_ = false;
  }

 private:
  // With `verify`, also where the session had it open already.
  std::size_t read_piece(std::uint64_t offset, std::span<std::byte> piece, bool verify) {
    return root_.host_->with_session(path_, stop_, [&](SftpSession& session) {
      const bool opened = !session.is_open(path_);
      if (opened) session.open(path_, root_.real_of_file(session, path_), name());
      if (!opened && !verify) return session.read(offset, piece, name());
      FileStatus now;
      const std::size_t n = session.read(offset, piece, name(), &now);
      if (now.size_bytes != listed_.size_bytes || now.mtime_ns != listed_.mtime_ns) {
        session.close();
        throw Error(ErrorKind::source_changed, fmt::format("source {} changed while it was read", name()),
                    "publish when its writer is finished");
      }
      if (verify) verified_ = true;
      return n;
    });
  }

  const SftpRoot& root_;
  const std::string path_;  // below the root
  const FileStatus listed_;
  const std::stop_token stop_;
  std::atomic<bool> verified_ = false;  // behind its last byte, and not used up
};

SftpRoot::SftpRoot(std::string name, SftpOptions options, std::string folder, std::uint64_t window_bytes)
    : Root(std::move(name)),
      folder_(std::move(folder)),
      device_(hash_of(fmt::format("sftp://{}@{}:{}/{}", options.user, options.host, options.port, folder_))),
      host_(std::make_unique<SftpHost>(std::move(options))),
      fetchers_(std::make_unique<Fetchers>(host_->options().sessions, window_bytes)) {}

SftpRoot::~SftpRoot() = default;

std::string SftpRoot::base(SftpSession& session) const {
  {
    std::lock_guard lock(mutex_);
    if (!base_.empty()) return base_;
  }
  std::string real = session.real_path(folder_.empty() ? "." : folder_, full_name(""));
  std::lock_guard lock(mutex_);
  return base_ = std::move(real);
}

void SftpRoot::require_below(const std::string& base, const std::string& real, const std::string& path) const {
  if (real == base || (base == "/" && real.starts_with('/')) || real.starts_with(base + "/")) return;
  throw Error(ErrorKind::source_outside, fmt::format("source {} leads outside its content root", full_name(path)),
              "replace the symlink by the content, or name the root where the content is");
}

std::string SftpRoot::real_below(SftpSession& session, const std::string& path, const std::string& wanted) const {
  const std::string top = base(session);
  if (path.empty()) return top;
  std::string real = session.real_path(join(top, path), full_name(wanted));
  require_below(top, real, wanted);
  return real;
}

std::string SftpRoot::real_of_folder(SftpSession& session, const std::string& path, const std::string& wanted) const {
  {
    std::lock_guard lock(mutex_);
    const auto known = folders_.find(path);
    if (known != folders_.end() && Clock::now() < known->second.until) return known->second.real;
  }
  std::string real = real_below(session, path, wanted);
  std::lock_guard lock(mutex_);
  if (folders_.size() >= k_known_most) folders_.clear();
  folders_[path] = {real, Clock::now() + k_known};
  return real;
}

std::string SftpRoot::real_of_file(SftpSession& session, const std::string& path) const {
  {
    std::lock_guard lock(mutex_);
    const auto link = links_.find(path);
    if (link != links_.end()) return link->second;
  }
  return join(real_of_folder(session, parent_of(path), path), last_of(path));
}

void SftpRoot::note_symlink(const std::string& path, const std::string& real) const {
  std::lock_guard lock(mutex_);
  if (links_.size() >= k_known_most) links_.clear();
  links_[path] = real;
}

FileStatus SftpRoot::identified(FileStatus status, const std::string& path) const {
  status.inode = hash_of(path);
  status.device = device_;
  status.ctime_ns = status.mtime_ns + k_clocks_differ_ns;
  return status;
}

// `listed`: of the name itself. Follows a symlink.
FileStatus SftpRoot::resolve(SftpSession& session, const std::string& path, const std::string& parent,
                             const FileStatus& listed) const {
  FileStatus status = listed;
  if (status.type == FileType::symlink) {
    const std::string real = session.real_path(join(parent, last_of(path)), full_name(path));
    require_below(base(session), real, path);
    status = session.status(real, full_name(path));
    if (status.type == FileType::regular) note_symlink(path, real);
  }
  if (status.type != FileType::regular && status.type != FileType::directory) throw wrong_type(full_name(path));
  return identified(status, path);
}

FileStatus SftpRoot::status(const std::string& path, const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) {
    if (path.empty()) return identified(session.status(base(session), full_name(path)), path);
    const std::string parent = real_of_folder(session, parent_of(path), path);
    return resolve(session, path, parent, session.status(join(parent, last_of(path)), full_name(path)));
  });
}

std::unique_ptr<File> SftpRoot::open(const std::string& path, const FileStatus& listed,
                                     const std::stop_token& stop) const {
  return std::make_unique<SftpFile>(*this, path, listed, stop);
}

std::string SftpRoot::real_folder(const std::string& path, const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) { return real_of_folder(session, path, path); });
}

std::vector<SftpRoot::Child> SftpRoot::list(const std::string& path, std::uint64_t most,
                                            const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) {
    std::vector<Child> children;
    const std::string real = real_of_folder(session, path, path);
    session.list(real, full_name(path), [&](SftpSession::Listed listed) {
      if (children.size() >= most) {
        throw Error(ErrorKind::limit, fmt::format("source {}: more than {} names", full_name(path), most),
                    "publish fewer files, or raise limits.max_entries");
      }
      // What no file can be called, and a host that means well does not send.
      if (listed.file.empty() || listed.file.find('/') != std::string::npos ||
          listed.file.find('\0') != std::string::npos) {
        throw Error(ErrorKind::source_name, fmt::format("source {}: {} lists a name with '/' or NUL in it",
                                                        full_name(path), host_->options().host));
      }
      children.push_back({std::move(listed.file), listed.status, nullptr});
    });
    for (Child& child : children) {
      const std::string below = join(path, child.name);
      try {
        child.status = resolve(session, below, real, child.status);
      } catch (const Error& error) {
        if (session.broken()) throw;
        child.problem = std::make_unique<Error>(error);
      }
    }
    const auto key = [](const Child& child) {
      return child.status.type == FileType::directory ? child.name + '/' : child.name;
    };
    std::sort(children.begin(), children.end(), [&](const Child& a, const Child& b) { return key(a) < key(b); });
    return children;
  });
}

void SftpRoot::walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                    Visitor& visitor) const {
  SftpWalk(*this, path, limits, stop, visitor).run();
}

}  // namespace zipmodule::storage
