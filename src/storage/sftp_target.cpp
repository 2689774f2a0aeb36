#include "storage/sftp_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "storage/remote.hpp"
#include "storage/sftp_host.hpp"
#include "tree/marker.hpp"

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

bool is_build_file(const std::string& name) {
  const std::string_view suffix = suffix_of(ArchiveFormat::zip);
  return name.ends_with(suffix) && is_build_id(std::string_view(name).substr(0, name.size() - suffix.size()));
}

}  // namespace

SftpTarget::SftpTarget(std::string name, SftpOptions options, std::string folder, bool read_back, mode_t mode)
    : Target(std::move(name)),
      folder_(std::move(folder)),
      read_back_(read_back),
      mode_(mode),
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
    session.make_folder(there(path.substr(0, slash)), tree::Access{mode_}.of_folders().mode, label(path));
  }
}

void SftpTarget::open_part(SftpSession& session, const std::string& path, std::uint64_t offset) const {
  const std::string part = partial_name(path);
  try {
    session.open_to_write(there(part), offset, mode_, label(part));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::source_missing) throw;
    make_folders(session, part);
    session.open_to_write(there(part), offset, mode_, label(part));
  }
}

void SftpTarget::compare(SftpSession& session, const LocalSource& file, const std::string& path) const {
  if (!session.open({}, there(path), label(path))) {
    throw Error(ErrorKind::verify, fmt::format("{} is no file there", path), "look who else writes there");
  }
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

std::uint64_t SftpTarget::do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  std::uint64_t acknowledged = 0;
  for (std::uint64_t before = 0;; before = acknowledged) {
    try {
      return with_session(stop, [&](SftpSession& session) -> std::uint64_t {
        if (is_there(session, path, file.size_bytes)) return acknowledged;
        upload(session, file, path, acknowledged);
        session.set_time(there(partial_name(path)), file.mtime_ns, label(path));
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

void SftpTarget::do_point(const tree::Link& wanted, const std::stop_token& stop) {
  const std::string link = public_path(wanted.series, wanted.archive);
  const std::string path = build_path(wanted.build_id);
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

bool SftpTarget::do_unpoint(const tree::Link& wanted, const std::stop_token& stop) {
  const std::string link = public_path(wanted.series, wanted.archive);
  const std::string path = build_path(wanted.build_id);
  return with_session(stop, [&](SftpSession& session) {
    const std::string fresh = partial_link(link, path);
    session.unlink(there(fresh), label(fresh));
    if (session.link_target(there(link), label(link)) != seen_from(link, path)) return false;
    session.unlink(there(link), label(link));
    return true;
  });
}

void SftpTarget::do_remove(const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  with_session(stop, [&](SftpSession& session) {
    for (const std::string& file : {partial_name(path), path}) session.unlink(there(file), label(file));
    return true;
  });
}

std::optional<std::string> SftpTarget::do_read_marker(const std::stop_token& stop) {
  const std::string path = tree::k_target_marker;
  return with_session(stop, [&](SftpSession& session) -> std::optional<std::string> {
    session.status(there(""), label(there("")));  // throws where the folder itself is away
    try {
      session.open({}, there(path), label(path));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::source_missing) throw;
      return std::nullopt;
    }
    std::array<std::byte, 4'096> text;
    const std::size_t size = session.read(0, text, label(path));
    session.close();
    return std::string(reinterpret_cast<const char*>(text.data()), size);
  });
}

void SftpTarget::write_small(SftpSession& session, const std::string& path, const std::string& text) const {
  std::uint64_t written = 0;
  session.open_to_write(there(path), 0, 0644, label(path));
  session.write(
      written, text.size(),
      [&](std::uint64_t offset, std::span<std::byte> buffer) {
        std::memcpy(buffer.data(), text.data() + offset, buffer.size());
      },
      label(path));
  session.finish_writing(label(path));
}

void SftpTarget::do_write_marker(const std::string& text, const std::stop_token& stop) {
  const std::string path = tree::k_target_marker;
  with_session(stop, [&](SftpSession& session) {
    write_small(session, partial_name(path), text);
    session.rename(there(partial_name(path)), there(path), label(path));
    return true;
  });
}

bool SftpTarget::do_is_empty(const std::stop_token& stop) {
  return with_session(stop, [&](SftpSession& session) {
    std::vector<std::string> folders;
    try {
      session.list(there("builds"), label("builds"), [&](const SftpSession::Listed& entry) {
        if (entry.status.type == FileType::directory) folders.push_back("builds/" + entry.file);
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::source_missing) throw;
    }
    return std::none_of(folders.begin(), folders.end(), [&](const std::string& folder) {
      bool any = false;
      session.list(there(folder), label(folder),
                   [&](const SftpSession::Listed& entry) { any = any || is_build_file(entry.file); });
      return any;
    });
  });
}

bool SftpTarget::do_has_build(const std::string& build_id, const std::stop_token& stop) {
  const std::string path = build_path(build_id);
  return with_session(stop, [&](SftpSession& session) {
    try {
      return session.status(there(path), label(path)).type == FileType::regular;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::source_missing) throw;
      return false;
    }
  });
}

// As a delivery does: a file is written, synced and renamed, a link is made and switched.
Target::Condition SftpTarget::probe(const std::stop_token& stop) {
  const std::string marker = probe_name();
  const std::string renamed = marker + ".renamed";
  const std::string link = marker + ".link";
  const std::string fresh = marker + ".link.new";
  return with_session(stop, [&](SftpSession& session) {
    // What is in it is nobody's business here: that it can be read is enough.
    session.list(there(""), name(), [](const SftpSession::Listed&) {});
    const auto remove_all = [&] {
      for (const std::string& file : {fresh, link, renamed, marker}) session.unlink(there(file), label(file));
    };
    try {
      write_small(session, marker, marker);
      session.rename(there(marker), there(renamed), label(renamed));
      for (int turn = 0; turn < 2; ++turn) {
        if (!session.make_link(renamed, there(fresh), label(fresh))) {
          throw Error(ErrorKind::source_unreadable, fmt::format("{}: no symlink can be made there", label(fresh)),
                      "public names are symlinks: look at the rights there, and whether its file system has them");
        }
        session.rename(there(fresh), there(link), label(link));
      }
    } catch (const Error&) {
      remove_all();
      throw;
    }
    remove_all();
    return Condition{session.free_bytes(there("")), std::nullopt};
  });
}

}  // namespace zipmodule::storage
