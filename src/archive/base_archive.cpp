#include "archive/base_archive.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/error.hpp"

namespace zipmodule::archive {
namespace {

std::int64_t floor_seconds(std::int64_t time_ns) noexcept {
  constexpr std::int64_t k_second = 1'000'000'000;
  return time_ns / k_second - (time_ns % k_second < 0 ? 1 : 0);
}

struct stat status_of(const zip::ArchiveFile& file) {
  struct stat status {};
  if (::fstat(file.fd, &status) != 0)
    throw Error(ErrorKind::io, fmt::format("stat {}: {}", file.path, errno_text(errno)));
  return status;
}

bool same_time(const timespec& a, const timespec& b) noexcept { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

class RangeReader final : public zip::EntryReader {
 public:
  // `before`: as the file was before its data was checked.
  RangeReader(const zip::ArchiveFile& file, std::uint64_t begin, const struct stat& before)
      : file_(file), begin_(begin), before_(before) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    const auto n = pread_full(file_.fd, buffer, begin_ + offset);
    if (n < 0) throw Error(ErrorKind::io, fmt::format("read {}: {}", file_.path, errno_text(errno)));
    if (static_cast<std::size_t>(n) != buffer.size()) throw changed();
    return buffer.size();
  }
  void require_unchanged() override {
    const struct stat now = status_of(file_);
    if (now.st_size != before_.st_size || !same_time(now.st_mtim, before_.st_mtim) ||
        !same_time(now.st_ctim, before_.st_ctim)) {
      throw changed();
    }
  }

 private:
  Error changed() const {
    return {ErrorKind::corrupt, fmt::format("{}: changed while it was copied from", file_.path)};
  }

  const zip::ArchiveFile& file_;
  const std::uint64_t begin_;
  const struct stat before_;
};

Fd open_base(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd)
    throw Error(ErrorKind::io, fmt::format("open {}: {}", path, errno_text(errno)), "name another archive with --base");
  return fd;
}

}  // namespace

BaseArchive::BaseArchive(const std::string& path, const zip::EntryList& plan, zip::Content& content)
    : plan_(plan),
      content_(content),
      fd_(open_base(path)),
      file_(zip::open_archive(fd_.get(), path)),
      reused_(plan.size()) {
  zip::CentralDirectory directory(file_, zip::read_end_record(file_));
  while (auto record = directory.next()) {
    const bool known_method = record->method == static_cast<std::uint16_t>(zip::Method::stored) ||
                              record->method == static_cast<std::uint16_t>(zip::Method::deflated);
    if (!known_method || (record->flags & zip::k_flag_encrypted) != 0 || record->size_bytes == 0) continue;
    // Deflate that did not shrink is never ours; its local header could even need zip64 where the size does not say so.
    const bool deflated = record->method == static_cast<std::uint16_t>(zip::Method::deflated);
    if (deflated && record->compressed_bytes >= record->size_bytes) continue;
    std::string name = record->name;
    records_.emplace(std::move(name), std::move(*record));
  }
}

std::optional<zip::RawData> BaseArchive::raw(std::size_t index) {
  const zip::EntryView entry = plan_.at(index);
  const auto found = records_.find(std::string(entry.name));
  if (found == records_.end()) return std::nullopt;
  const zip::CentralRecord& record = found->second;
  if (record.size_bytes != entry.size_bytes || floor_seconds(record.mtime) != floor_seconds(entry.mtime))
    return std::nullopt;
  const struct stat before = status_of(file_);
  const std::uint64_t data = zip::read_local_header(file_, record);
  zip::verify_data(file_, record, data, {});
  reused_[index] = true;
  return zip::RawData{std::make_unique<RangeReader>(file_, data, before), record.compressed_bytes, record.crc,
                      static_cast<zip::Method>(record.method)};
}

}  // namespace zipmodule::archive
