#include "storage/sftp_root.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "storage/file_status.hpp"
#include "storage/remote.hpp"
#include "storage/sftp_host.hpp"
#include "storage/sftp_walk.hpp"

namespace zipmodule::storage {
namespace {

// What is read in one piece: requests for all of it are on their way before the first answer is awaited. Four times as much
// is the most that libssh2 asks ahead.
constexpr std::size_t k_piece_bytes = std::size_t{2} << 20U;
// Of so many folders it is remembered where they really are: to open a file in one costs a round trip less.
constexpr std::size_t k_folders_most = 10'000;

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == 0) return "/";
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

// A file that is listed, read by sessions that open it when they need to. Each one makes sure that it has the listed version.
class SftpFile final : public File {
 public:
  SftpFile(const SftpRoot& root, std::string path, const FileStatus& listed, std::stop_token stop)
      : File(root.full_name(path)),
        root_(root),
        path_(std::move(path)),
        listed_(listed),
        label_(fmt::format("{:x}:{}:{}", listed.inode, listed.size_bytes, listed.mtime_ns)),
        stop_(std::move(stop)) {}

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
    return root_.host_->with_session(label_, stop_, [&](SftpSession& session) {
      const bool opened = !session.is_open(label_);
      if (opened) session.open(label_, root_.real_of(session, path_, listed_), name());
      if (!opened && !verify) return session.read(offset, piece, name());
      try {
        FileStatus now;
        const std::size_t n = session.read(offset, piece, name(), &now);
        if (now.size_bytes != listed_.size_bytes || now.mtime_ns != listed_.mtime_ns) throw changed(name());
        if (verify) verified_ = true;
        return n;
      } catch (...) {
        session.close();  // whoever finds it open takes it for the listed version
        throw;
      }
    });
  }

  const SftpRoot& root_;
  const std::string path_;  // below the root
  const FileStatus listed_;
  const std::string label_;  // of this version, for sessions
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

// Asked of the host, every time.
std::string SftpRoot::real_path(SftpSession& session, const std::string& path) const {
  const std::string top = base(session);
  if (path.empty()) return top;
  std::string real = session.real_path(join(top, path), full_name(path));
  require_below(top, real, path);
  return real;
}

void SftpRoot::note_folder(const std::string& path, const std::string& real) const {
  std::lock_guard lock(mutex_);
  if (folders_.size() >= k_folders_most) folders_.clear();
  folders_[path] = real;
}

// The file of the number that was listed. What is known of its folder may be out of date, and the name may be a symlink: then
// the host is asked.
std::string SftpRoot::real_of(SftpSession& session, const std::string& path, const FileStatus& listed) const {
  std::optional<std::string> known;
  {
    std::lock_guard lock(mutex_);
    const auto folder = folders_.find(parent_of(path));
    if (folder != folders_.end()) known = join(folder->second, last_of(path));
  }
  if (known && hash_of(*known) == listed.inode) return *known;
  std::string real = real_path(session, path);
  if (hash_of(real) != listed.inode) throw changed(full_name(path));
  note_folder(parent_of(path), parent_of(real));
  return real;
}

FileStatus SftpRoot::identified(FileStatus status, const std::string& real, const std::string& path) const {
  if (status.type != FileType::regular && status.type != FileType::directory) throw wrong_type(full_name(path));
  status.inode = hash_of(real);
  status.device = device_;
  status.ctime_ns = status.mtime_ns + k_clocks_differ_ns;
  return status;
}

std::optional<std::string> SftpRoot::path_of(const std::string& url) const {
  const SftpOptions& options = host_->options();
  const bool six = options.host.find(':') != std::string::npos;
  const std::string host = six ? fmt::format("[{}]", options.host) : options.host;
  std::vector<std::string> places{fmt::format("{}:{}", host, options.port)};
  if (options.port == 22) places.push_back(host);
  const std::string folder = folder_.starts_with('/') ? folder_ : "/~/" + folder_;
  for (const std::string& place : places) {
    for (const std::string& user : {std::string(), options.user + "@"}) {
      if (auto path = below(fmt::format("sftp://{}{}{}", user, place, folder), url)) return path;
    }
  }
  return std::nullopt;
}

FileStatus SftpRoot::status(const std::string& path, const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) {
    const std::string real = real_path(session, path);
    const FileStatus status = identified(session.status(real, full_name(path)), real, path);
    if (!path.empty()) note_folder(parent_of(path), parent_of(real));
    return status;
  });
}

std::future<FileStatus> SftpRoot::look_up(const std::string& path, const std::stop_token& stop) const {
  return fetchers_->pool.ask([this, path, stop] { return status(path, stop); });
}

std::unique_ptr<File> SftpRoot::open(const std::string& path, const FileStatus& listed,
                                     const std::stop_token& stop) const {
  return std::make_unique<SftpFile>(*this, path, listed, stop);
}

SftpRoot::Listing SftpRoot::list(const std::string& path, std::atomic<std::uint64_t>& names, std::uint64_t most,
                                 const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) {
    Listing listing;
    listing.real = real_path(session, path);
    note_folder(path, listing.real);
    try {
      session.list(listing.real, full_name(path), [&](SftpSession::Listed listed) {
        if (++names > most) {
          --names;
          throw Error(ErrorKind::limit, fmt::format("source {}: more than {} names", full_name(path), most),
                      "publish fewer files, or raise limits.max_entries");
        }
        listing.children.push_back({std::move(listed.file), listed.status, nullptr});
        require_name(path, listing.children.back().name);
      });
      for (Child& child : listing.children) look_at(session, path, listing.real, child);
    } catch (...) {
      names -= listing.children.size();
      throw;
    }
    const auto key = [](const Child& child) {
      return child.status.type == FileType::directory ? child.name + '/' : child.name;
    };
    std::sort(listing.children.begin(), listing.children.end(),
              [&](const Child& a, const Child& b) { return key(a) < key(b); });
    return listing;
  });
}

// What no file can be called, and a host that means well does not send.
void SftpRoot::require_name(const std::string& path, const std::string& name) const {
  if (!name.empty() && name.find('/') == std::string::npos && name.find('\0') == std::string::npos) return;
  throw Error(ErrorKind::source_name, fmt::format("source {}: {} lists a name that is empty or has '/' or NUL in it",
                                                  full_name(path), host_->options().host));
}

// What it is, or where the symlink leads.
void SftpRoot::look_at(SftpSession& session, const std::string& folder, const std::string& real_folder,
                       Child& child) const {
  const std::string path = join(folder, child.name);
  try {
    std::string real = join(real_folder, child.name);
    if (child.status.type == FileType::symlink) {
      real = session.real_path(real, full_name(path));
      require_below(base(session), real, path);
      child.status = session.status(real, full_name(path));
    }
    child.status = identified(child.status, real, path);
  } catch (const Error& error) {
    if (session.broken()) throw;
    child.problem = std::make_unique<Error>(error);
  }
}

void SftpRoot::walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
                    Visitor& visitor) const {
  SftpWalk(*this, path, limits, stop, visitor).run();
}

}  // namespace zipmodule::storage
