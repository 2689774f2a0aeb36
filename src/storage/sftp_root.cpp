#include "storage/sftp_root.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "storage/file_status.hpp"
#include "storage/remote.hpp"
#include "storage/sftp_host.hpp"
#include "storage/sftp_walk.hpp"
#include "storage/walk_frame.hpp"

namespace zipmodule::storage {
namespace {

// What is read in one piece: requests for all of it are on their way before the first answer is awaited. Four times as
// much is the most that libssh2 asks ahead.
constexpr std::size_t k_piece_bytes = std::size_t{2} << 20U;
}  // namespace

// A file that is listed, read by sessions that open it when they need to. Each one makes sure that it has the listed
// version.
class SftpFile final : public File {
 public:
  SftpFile(const SftpRoot& root, std::string path, const FileStatus& listed, std::stop_token stop)
      : File(root.full_name(path), listed.settled),
        root_(root),
        path_(std::move(path)),
        listed_(listed),
        label_(fmt::format("{:x}:{:x}", listed.version.file, listed.version.state)),
        stop_(std::move(stop)) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (offset >= listed_.size_bytes) return 0;  // another size is another version
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
      if (opened && !session.open(label_, root_.real_of(session, path_, listed_), name())) {
        root_.paths_->find(session, path_, SftpPaths::Time::clock::now());  // where it leads out, that is the error
        throw changed(name());
      }
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
      hash_(hash_of(fmt::format("sftp://{}@{}:{}/{}", options.user, options.host, options.port, folder_))),
      host_(std::make_unique<SftpHost>(std::move(options))),
      paths_(std::make_unique<SftpPaths>(*this, folder_)),
      fetchers_(std::make_unique<Fetchers>(host_->options().sessions, window_bytes)) {}

SftpRoot::~SftpRoot() = default;

// The file of the number that was listed. What is remembered may be out of date: then the host is asked.
std::string SftpRoot::real_of(SftpSession& session, const std::string& path, const FileStatus& listed) const {
  const auto known = paths_->remembered(path);
  if (known && file_of(*known) == listed.version.file) return *known;
  std::string real = paths_->find(session, path, SftpPaths::Time::clock::now()).real;
  if (file_of(real) != listed.version.file) throw changed(full_name(path));
  return real;
}

std::uint64_t SftpRoot::file_of(const std::string& real) const { return mixed(hash_, hash_of(real)); }

FileStatus SftpRoot::identified(FileStatus status, const std::string& real, const std::string& path) const {
  if (status.type != FileType::regular && status.type != FileType::directory) throw wrong_type(full_name(path));
  status.version.file = file_of(real);
  status.version.state = mixed(static_cast<std::uint64_t>(status.mtime_ns), status.size_bytes);
  status.settled = is_settled(status.mtime_ns);
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
  return status_since(path, SftpPaths::Time::clock::now(), stop);
}

std::future<FileStatus> SftpRoot::look_up(const std::string& path, const std::stop_token& stop) const {
  return fetchers_->pool.ask(
      [this, path, stop, asked = SftpPaths::Time::clock::now()] { return status_since(path, asked, stop); });
}

FileStatus SftpRoot::status_since(const std::string& path, SftpPaths::Time asked, const std::stop_token& stop) const {
  return host_->with_session("", stop, [&](SftpSession& session) {
    const auto place = paths_->find(session, path, asked);
    return identified(place.status, place.real, path);
  });
}

std::unique_ptr<File> SftpRoot::open(const std::string& path, const FileStatus& listed,
                                     const std::stop_token& stop) const {
  return std::make_unique<SftpFile>(*this, path, listed, stop);
}

SftpRoot::Listing SftpRoot::list(const std::string& below, SftpPaths::Time asked, WalkFrame& frame,
                                 const std::stop_token& stop) const {
  const std::string path = frame.path(below);
  return host_->with_session("", stop, [&](SftpSession& session) {
    Listing listing;
    const auto place = paths_->find(session, path, asked);
    if (place.status.type != FileType::directory) throw changed(full_name(path));
    listing.real = place.real;
    std::uint64_t names = 0;
    std::uint64_t left_out_bytes = 0;
    try {
      session.list(listing.real, full_name(path), [&](SftpSession::Listed listed) {
        ++names;
        listing.name_bytes += listed.file.size();
        frame.hold(below, 1, listed.file.size());
        require_name(path, listed.file);
        if (frame.excludes(below, listed.file.c_str())) {
          ++listing.left_out;
          left_out_bytes += listed.file.size();
          return;
        }
        listing.children.push_back({std::move(listed.file), listed.status, nullptr});
      });
      frame.release(listing.left_out, left_out_bytes);
      names -= listing.left_out;
      listing.name_bytes -= left_out_bytes;
      for (Child& child : listing.children) look_at(session, path, listing.real, asked, child);
    } catch (...) {
      frame.release(names, listing.name_bytes);
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
                       SftpPaths::Time asked, Child& child) const {
  const std::string path = join(folder, child.name);
  try {
    SftpPaths::Place place{join(real_folder, child.name), child.status};
    if (!session.lists_symlinks()) place.status = session.status(place.real, full_name(path));
    if (place.status.type == FileType::symlink) {
      place = paths_->follow(session, real_folder, child.name, path, asked);
    }
    child.status = identified(place.status, place.real, path);
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
