#include "archive/base_archive.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "zip/entry_data.hpp"
#include "zip/format.hpp"

namespace zipmodule::archive {
namespace {

// One in so many is read again with VerifyReuse::sample.
constexpr std::uint64_t k_sample_of = 32;

// A base that can't be read is as good as a broken one: all can be made without it.
Error unreadable(const std::string& path, int error_number) {
  return {ErrorKind::corrupt, fmt::format("read {}: {}", path, errno_text(error_number))};
}

// Runs what reads the base, with Error{io} become Error{corrupt}.
template <class Work>
auto reading_base(Work work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io) throw;
    throw Error(ErrorKind::corrupt, error.what(), error.hint());
  }
}

struct stat status_of(const zip::ArchiveFile& file) {
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) throw unreadable(file.path, errno);
  return status;
}

bool same_time(const timespec& a, const timespec& b) noexcept { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// Data of the base, from `begin` on.
class RangeReader final : public zip::EntryReader {
 public:
  RangeReader(const zip::ArchiveFile& file, std::uint64_t begin, const struct stat& opened)
      : file_(file), begin_(begin), opened_(opened) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    const auto n = pread_full(file_.fd, buffer, begin_ + offset);
    if (n < 0) throw unreadable(file_.path, errno);
    if (static_cast<std::size_t>(n) != buffer.size()) throw changed();
    return buffer.size();
  }
  void require_unchanged() override {
    const struct stat now = status_of(file_);
    if (now.st_size != opened_.st_size || !same_time(now.st_mtim, opened_.st_mtim) ||
        !same_time(now.st_ctim, opened_.st_ctim)) {
      throw changed();
    }
  }
  std::optional<zip::FileRange> file_range() const override { return zip::FileRange{file_.fd, begin_, file_.path}; }

 private:
  Error changed() const {
    return {ErrorKind::corrupt, fmt::format("{}: changed while it was copied from", file_.path)};
  }

  const zip::ArchiveFile& file_;
  const std::uint64_t begin_;
  const struct stat& opened_;
};

Fd open_base(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd) return fd;
  const int error_number = errno;
  if (auto error = descriptors_error(error_number, "open " + path)) throw Error(*error);
  throw Error(ErrorKind::io, fmt::format("open {}: {}", path, errno_text(error_number)),
              "name another archive with --base");
}

bool known_method(std::uint16_t method) noexcept {
  return method == static_cast<std::uint16_t>(zip::Method::stored) ||
         method == static_cast<std::uint16_t>(zip::Method::deflated);
}

// A file that was written once more in the second in which the base was made, after it was read, has the base's time
// and other content. Network file systems have clocks of their own.
std::int64_t recognised_before(const struct stat& base) noexcept {
  constexpr std::int64_t k_second = 1'000'000'000;
  constexpr std::int64_t k_apart_seconds = 2;
  constexpr std::int64_t k_far = 9'000'000'000;  // years that nanoseconds in 64 bits still hold
  return (std::clamp<std::int64_t>(base.st_mtim.tv_sec, -k_far, k_far) - k_apart_seconds) * k_second +
         base.st_mtim.tv_nsec;
}

// The most that deflate makes of a byte: a match of 258 bytes takes two bits at least (RFC 1951, 3.2.5).
constexpr std::uint64_t k_deflate_ratio_most = 1'032;

// Whether what the record says leaves an entry that can be copied, as far as that is seen without its data.
bool may_be_copied(const zip::CentralRecord& record, std::uint64_t central_offset) noexcept {
  constexpr std::uint16_t k_never = zip::k_flag_encrypted | zip::k_flag_descriptor;
  if (!known_method(record.method) || (record.flags & k_never) != 0) return false;
  if (record.compressed_bytes > central_offset || record.offset > central_offset - record.compressed_bytes)
    return false;
  if (record.method == static_cast<std::uint16_t>(zip::Method::deflated)) {
    // Deflate that did not shrink is never ours; its local header could even need zip64 where the size does not say so.
    return record.compressed_bytes < record.size_bytes &&
           (record.size_bytes - 1) / k_deflate_ratio_most < record.compressed_bytes;
  }
  // Of an entry without data nothing is read again, so its CRC would be believed.
  return record.compressed_bytes == record.size_bytes && (record.size_bytes > 0 || record.crc == 0);
}

std::uint64_t hash_of(std::string_view name) noexcept { return std::hash<std::string_view>()(name); }

}  // namespace

std::optional<VerifyReuse> parse_verify_reuse(std::string_view text) noexcept {
  if (text == "never") return VerifyReuse::never;
  if (text == "sample") return VerifyReuse::sample;
  if (text == "always") return VerifyReuse::always;
  return std::nullopt;
}

BaseArchive::BaseArchive(const std::string& path, std::optional<SourceRecord> record, Plan& plan, zip::Content& content,
                         VerifyReuse verify)
    : plan_(plan),
      content_(content),
      verify_(verify),
      fd_(open_base(path)),
      file_(zip::open_archive(fd_.get(), path)),
      opened_(status_of(file_)),
      recognised_before_(recognised_before(opened_)),
      record_(std::move(record)),
      reused_(plan.size()) {
  if (!S_ISREG(opened_.st_mode)) throw Error(ErrorKind::corrupt, fmt::format("{} is not a regular file", path));
  reading_base([this] { load(); });
}

void BaseArchive::load() {
  const zip::EndRecord end = zip::read_end_record(file_);
  data_end_ = end.central_offset;
  entries_ = end.entries;
  if (record_ && (record_->build().entries != end.entries || record_->build().size_bytes != file_.size_bytes)) {
    throw Error(ErrorKind::corrupt, fmt::format("{}: what is recorded beside it is of another archive", file_.path));
  }
  if (end.entries >= k_unfit) {
    throw Error(ErrorKind::corrupt, fmt::format("{}: has more entries than can be reused", file_.path));
  }
  identical_ = record_.has_value() && end.entries == plan_.size();
  zip::CentralDirectory directory(file_, end);
  for (std::uint64_t number = 0; auto record = directory.next(); ++number) {
    identical_ = identical_ && same_as_planned(*record, number);
    note(*record, number, end.central_offset);
  }
  fingerprint_ = directory.fingerprint();
  if (record_ && record_->build().fingerprint != fingerprint_) {
    throw Error(ErrorKind::corrupt, fmt::format("{}: what is recorded beside it is of another archive", file_.path));
  }
  std::sort(keys_.begin(), keys_.end());
  if (!record_) forget_repeated_names();
}

// Readers differ about which entry of a repeated name counts, so none of them is taken.
void BaseArchive::forget_repeated_names() {
  std::size_t kept = 0;
  for (auto first = keys_.begin(); first != keys_.end();) {
    const auto next = std::find_if(first, keys_.end(), [&](const Key& key) { return key.hash != first->hash; });
    if (next - first == 1 && first->known != k_unfit) keys_[kept++] = *first;
    first = next;
  }
  keys_.resize(kept);
}

// Keeps what may be copied; without a record, the names of all else, too.
void BaseArchive::note(const zip::CentralRecord& record, std::uint64_t number, std::uint64_t central_offset) {
  const bool fit = may_be_copied(record, central_offset);
  if (!fit && record_) return;
  std::uint64_t hash = 0;
  if (record_) {
    const auto version = record_->at(number);
    if (!version) return;
    hash = version->file;
  } else {
    hash = hash_of(record.name);
  }
  keys_.push_back({hash, fit ? static_cast<std::uint32_t>(known_.size()) : k_unfit});
  if (!fit) return;
  known_.push_back({record.offset, record.compressed_bytes, record.size_bytes, zip::floor_seconds(record.mtime),
                    record.crc, static_cast<std::uint32_t>(number), static_cast<zip::Method>(record.method),
                    record.flags});
}

bool BaseArchive::same_as_planned(const zip::CentralRecord& record, std::uint64_t number) {
  const auto index = static_cast<std::size_t>(number);
  const zip::EntryView entry = plan_.at(index);
  const auto version = plan_.version(index);
  const unsigned mode = entry.directory || entry.executable ? 0755 : 0644;
  // Of a folder, only what is compared here is archived.
  const bool same = entry.directory || (version && version == record_->at(number));
  return same && record.name == entry.name && record.size_bytes == entry.size_bytes &&
         zip::floor_seconds(record.mtime) == zip::recorded_seconds(entry.mtime) && record.mode() == mode;
}

bool BaseArchive::matches(const Known& known, std::size_t index, const std::optional<storage::Version>& version) {
  const zip::EntryView entry = plan_.at(index);
  if (known.size_bytes != entry.size_bytes) return false;
  if (record_) return record_->at(known.number) == version;
  return known.mtime_seconds == zip::floor_seconds(entry.mtime) && entry.mtime < recognised_before_;
}

const BaseArchive::Known* BaseArchive::find(std::size_t index) {
  std::uint64_t hash = 0;
  std::optional<storage::Version> version;
  if (record_) {
    version = plan_.version(index);
    if (!version) return nullptr;
    hash = version->file;
  } else {
    hash = hash_of(plan_.at(index).name);
  }
  auto key = std::lower_bound(keys_.begin(), keys_.end(), Key{hash, 0});
  for (; key != keys_.end() && key->hash == hash; ++key) {
    if (matches(known_[key->known], index, version)) return &known_[key->known];
  }
  return nullptr;
}

bool BaseArchive::has_header(std::uint64_t offset, const std::vector<std::byte>& expected) const {
  thread_local std::vector<std::byte> found;
  found.resize(expected.size());
  const auto n = pread_full(file_.fd, found, offset);
  if (n < 0) throw unreadable(file_.path, errno);
  return n == static_cast<ssize_t>(found.size()) && found == expected;
}

std::optional<BaseArchive::Place> BaseArchive::place_of(const Known& known, const zip::EntryView& entry) const {
  thread_local std::vector<std::byte> expected;
  const auto expect = [&](std::size_t bytes) {
    expected.assign(bytes, std::byte{0});
    zip::encode_local_header(entry, {known.offset, known.compressed_bytes, known.crc, known.method}, expected);
    return has_header(known.offset, expected);
  };
  const std::size_t header_bytes = zip::local_header_size(entry);
  const std::size_t aligned_bytes = header_bytes + zip::padding_at(known.offset + header_bytes);
  Place place;
  if (expect(header_bytes)) {
    place = {known.offset + header_bytes, Header::ours};
  } else if (aligned_bytes > header_bytes && expect(aligned_bytes)) {
    place = {known.offset + aligned_bytes, Header::ours_aligned};
  } else {
    zip::CentralRecord record;
    record.offset = known.offset;
    record.compressed_bytes = known.compressed_bytes;
    record.size_bytes = known.size_bytes;
    record.crc = known.crc;
    record.method = static_cast<std::uint16_t>(known.method);
    record.flags = known.flags;
    const auto [data, name] = zip::read_named_header(file_, record);
    if (!record_ && name != entry.name) return std::nullopt;  // another name of the same hash
    place = {data, Header::other};
  }
  if (place.data > data_end_ || known.compressed_bytes > data_end_ - place.data) {
    throw Error(ErrorKind::corrupt, fmt::format("{}: an entry reaches into the central directory", file_.path));
  }
  return place;
}

bool BaseArchive::is_checked_for_windows(const Known& known) noexcept {
  return known.method == zip::Method::deflated && known.size_bytes <= zip::k_portable_check_bytes;
}

bool BaseArchive::must_check(std::size_t index, const Known& known, bool foreign) const noexcept {
  if (foreign) return true;
  if (verify_ != VerifyReuse::sample) return verify_ == VerifyReuse::always;
  // Any one in 32, but the same at every run.
  return ((index + 1) * 0x9E3779B97F4A7C15U ^ known.crc * 0xC2B2AE3D27D4EB4FU) >> 32U <
         (std::uint64_t{1} << 32U) / k_sample_of;
}

std::optional<zip::RawData> BaseArchive::raw(std::size_t index) {
  const Known* const known = find(index);
  if (known == nullptr) return std::nullopt;
  const zip::EntryView entry = plan_.at(index);
  const auto place = reading_base([&] { return place_of(*known, entry); });
  if (!place) return std::nullopt;
  // Without a record, only the header tells who wrote the data.
  const bool foreign = place->header == Header::other && !record_;
  if (foreign && known->method == zip::Method::deflated && !is_checked_for_windows(*known)) return std::nullopt;
  if (entry.size_bytes == 0 && place->header != Header::ours) return std::nullopt;
  zip::RawData raw;
  raw.reader = std::make_unique<RangeReader>(file_, place->data, opened_);
  raw.compressed_bytes = known->compressed_bytes;
  raw.crc = known->crc;
  raw.method = known->method;
  raw.header_too = place->header == Header::ours;
  if (must_check(index, *known, foreign)) {
    raw.check = check_of(*known, entry, place->data);
    if (is_checked_for_windows(*known)) raw.check_bytes = 2 * known->size_bytes;
  }
  reused_[index] = true;
  if (record_) plan_.note_settled(index);
  return raw;
}

std::function<void(const std::stop_token&)> BaseArchive::check_of(const Known& known, const zip::EntryView& entry,
                                                                  std::uint64_t data) const {
  zip::CentralRecord record;
  record.name = std::string(entry.name);
  record.compressed_bytes = known.compressed_bytes;
  record.size_bytes = known.size_bytes;
  record.crc = known.crc;
  record.method = static_cast<std::uint16_t>(known.method);
  return
      [this, record = std::move(record), data, windows = is_checked_for_windows(known)](const std::stop_token& stop) {
        reading_base([&] {
          zip::verify_data(file_, record, data, stop);
          if (windows) zip::require_portable(file_, record, data);
        });
      };
}

std::uint64_t BaseArchive::reused() const noexcept {
  std::uint64_t files = 0;
  for (std::size_t i = 0; i < reused_.size(); ++i) {
    if (reused_[i] && !plan_.at(i).directory) ++files;
  }
  return files;
}

}  // namespace zipmodule::archive
