#include "storage/sftp_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

#include "base/log.hpp"
#include "storage/remote.hpp"
#include "storage/sftp_host.hpp"

namespace zipmodule::storage {
namespace {

constexpr unsigned k_most_parallel = 4;
constexpr std::size_t k_piece_bytes = std::size_t{2} << 20U;
// Less than this between lost connections is no progress.
constexpr std::uint64_t k_worth_bytes = std::uint64_t{8} << 20U;

SftpOptions for_writing(SftpOptions options) {
  options.what = "target";
  return options;
}

}  // namespace

SftpTarget::SftpTarget(std::string name, SftpOptions options, std::string folder, bool read_back)
    : Target(std::move(name)),
      folder_(std::move(folder)),
      read_back_(read_back),
      host_(std::make_unique<SftpHost>(for_writing(std::move(options)))) {}

SftpTarget::~SftpTarget() = default;

unsigned SftpTarget::parallel() const noexcept { return std::min(host_->options().sessions, k_most_parallel); }

std::string SftpTarget::there(const std::string& path) const { return join(folder_.empty() ? "." : folder_, path); }
std::string SftpTarget::label(const std::string& path) const { return fmt::format("{}: {}", name(), path); }

// What goes wrong is told as this target's.
template <class Work>
auto SftpTarget::with_session(const std::stop_token& stop, Work work) {
  try {
    return host_->with_session({}, stop, work);
  } catch (const Error& error) {
    throw to_target_error(name(), error);
  }
}

bool SftpTarget::is_there(SftpSession& session, const std::string& path, std::uint64_t size_bytes) const {
  try {
    const FileStatus status = session.status(there(path), label(path));
    return status.type == FileType::regular && status.size_bytes == size_bytes;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::source_missing) throw;
    return false;
  }
}

// Those that `path` is in, below the target's own, which is never made: it may be a disk that is not mounted.
void SftpTarget::make_folders(SftpSession& session, const std::string& path) const {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    session.make_folder(there(path.substr(0, slash)), label(path));
  }
}

void SftpTarget::open_part(SftpSession& session, const std::string& path, std::uint64_t offset) const {
  const std::string part = partial_name(path);
  try {
    session.open_to_write(there(part), offset, label(part));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::source_missing) throw;
    make_folders(session, part);
    session.open_to_write(there(part), offset, label(part));
  }
}

void SftpTarget::compare(SftpSession& session, const LocalSource& file, const std::string& path) const {
  session.open({}, there(path), label(path));
  std::vector<std::byte> ours(k_piece_bytes);
  std::vector<std::byte> theirs(k_piece_bytes);
  for (std::uint64_t offset = 0; offset < file.size_bytes; offset += ours.size()) {
    ours.resize(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece_bytes, file.size_bytes - offset)));
    read_archive(file, offset, ours);
    const std::size_t got = session.read(offset, std::span(theirs).first(ours.size()), label(path));
    if (got != ours.size() || std::memcmp(ours.data(), theirs.data(), got) != 0) {
      throw Error(ErrorKind::verify, fmt::format("{} is not what was sent, near byte {}", path, offset));
    }
  }
  session.close();
}

void SftpTarget::upload(SftpSession& session, const LocalSource& file, const std::string& path,
                        std::uint64_t& acknowledged) const {
  const std::string part = partial_name(path);
  // What was acknowledged before a connection was lost is there, unless somebody has taken it away.
  if (acknowledged > 0) {
    const bool kept = [&] {
      try {
        return session.status(there(part), label(part)).size_bytes >= acknowledged;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::source_missing) throw;
        return false;
      }
    }();
    if (!kept) acknowledged = 0;
  }
  open_part(session, path, acknowledged);
  session.write(
      acknowledged, file.size_bytes,
      [&](std::uint64_t offset, std::span<std::byte> buffer) { read_archive(file, offset, buffer); }, label(part));
  session.finish_writing(label(part));
  if (!is_there(session, part, file.size_bytes)) {
    acknowledged = 0;
    throw Error(ErrorKind::verify, fmt::format("{} has another size than what was sent", part));
  }
  if (read_back_) compare(session, file, part);
}

std::uint64_t SftpTarget::put(const LocalSource& file, const std::string& path, const std::stop_token& stop) {
  std::uint64_t acknowledged = 0;
  for (std::uint64_t before = 0;; before = acknowledged) {
    try {
      return with_session(stop, [&](SftpSession& session) -> std::uint64_t {
        if (is_there(session, path, file.size_bytes)) return acknowledged;
        upload(session, file, path, acknowledged);
        session.rename(there(partial_name(path)), there(path), label(path));
        return acknowledged;
      });
    } catch (const Error& error) {
      // A line that breaks again and again brings a large archive there all the same, as long as it brings something.
      if (error.kind() == ErrorKind::target_unreachable && acknowledged > before + k_worth_bytes) continue;
      if (error.kind() == ErrorKind::target_unwritable) forget_part(path, stop);
      throw;
    }
  }
}

// What is left of it would keep a disk full that is full.
void SftpTarget::forget_part(const std::string& path, const std::stop_token& stop) noexcept {
  try {
    const std::string part = partial_name(path);
    with_session(stop, [&](SftpSession& session) {
      session.unlink(there(part), label(part));
      return true;
    });
  } catch (const std::exception& error) {
    log::info("{}", error.what());
  }
}

void SftpTarget::point(const std::string& link, const std::string& path, const std::stop_token& stop) {
  const std::string target = seen_from(link, path);
  const std::string fresh = partial_link(link, path);
  with_session(stop, [&](SftpSession& session) {
    if (session.link_target(there(link), label(link)) == target) return true;
    session.unlink(there(fresh), label(fresh));
    if (!session.make_link(target, there(fresh), label(fresh))) {
      make_folders(session, fresh);
      if (!session.make_link(target, there(fresh), label(fresh))) {
        throw Error(ErrorKind::source_unreadable, fmt::format("{}: no symlink can be made there", label(fresh)),
                    "look at the rights there, and whether its file system has symlinks");
      }
    }
    session.rename(there(fresh), there(link), label(link));
    return true;
  });
}

// Where it is not, nothing below it is gone: it may be a disk that is not mounted.
void SftpTarget::require_folder(SftpSession& session) const { session.status(there(""), label(there(""))); }

bool SftpTarget::unpoint(const std::string& link, const std::string& path, const std::stop_token& stop) {
  return with_session(stop, [&](SftpSession& session) {
    require_folder(session);
    const std::string fresh = partial_link(link, path);
    session.unlink(there(fresh), label(fresh));
    if (session.link_target(there(link), label(link)) != seen_from(link, path)) return false;
    session.unlink(there(link), label(link));
    return true;
  });
}

void SftpTarget::remove(const std::string& path, const std::stop_token& stop) {
  with_session(stop, [&](SftpSession& session) {
    require_folder(session);
    for (const std::string& file : {partial_name(path), path}) session.unlink(there(file), label(file));
    return true;
  });
}

Target::Condition SftpTarget::probe(const std::stop_token& stop) {
  const std::string marker = probe_name();
  return with_session(stop, [&](SftpSession& session) {
    // What is in it is nobody's business here: that it can be read is enough.
    session.list(there(""), name(), [](const SftpSession::Listed&) {});
    session.open_to_write(there(marker), 0, label(marker));
    std::uint64_t written = 0;
    session.write(
        written, marker.size(),
        [&](std::uint64_t offset, std::span<std::byte> buffer) {
          std::memcpy(buffer.data(), marker.data() + offset, buffer.size());
        },
        label(marker));
    session.finish_writing(label(marker));
    session.unlink(there(marker), label(marker));
    return Condition{session.free_bytes(there("")), std::nullopt};
  });
}

}  // namespace zipmodule::storage
