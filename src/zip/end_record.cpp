#include "zip/end_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace zipmodule::zip {
namespace {

constexpr std::size_t k_comment_most = 65'535;           // APPNOTE 4.4.12: a 16-bit length
constexpr std::size_t k_behind_most = 64U << 10U;        // as far as unzip looks, too
constexpr std::uint32_t k_split_signature = 0x08074b50;  // 8.5.3, at the front of the first part

// What the search ends with, before an ArchiveEnd is made of it.
struct NotFound {
  Finding finding;
};

NotFound damaged(std::string text) { return {{FindingKind::damaged, std::move(text)}}; }
NotFound unsupported(std::string text) { return {{FindingKind::unsupported, std::move(text)}}; }

// Bytes of a file's end, and where they begin in it.
struct Tail {
  Tail(const ArchiveFile& file, std::size_t most)
      : bytes(static_cast<std::size_t>(std::min<std::uint64_t>(file.size_bytes, most))),
        begin(file.size_bytes - bytes.size()) {
    read_exactly(file, bytes, begin);
  }
  // The last place that `fits` among those where an end record has room.
  template <class Fits>
  std::optional<std::uint64_t> find_last(Fits fits) const {
    for (std::size_t at = bytes.size() - k_end_size + 1; at-- > 0;) {
      if (load32(bytes.data() + at) == k_end_signature && fits(at)) return begin + at;
    }
    return std::nullopt;
  }

  std::vector<std::byte> bytes;
  std::uint64_t begin;
};

bool has_signature(const ArchiveFile& file, std::uint64_t at, std::uint32_t signature) {
  if (file.size_bytes < 4 || at > file.size_bytes - 4) return false;
  std::array<std::byte, 4> bytes;
  read_exactly(file, bytes, at);
  return load32(bytes.data()) == signature;
}

// Whether a list of entries, or zip64's locator, ends where this record begins.
bool ends_a_list(const ArchiveFile& file, const std::byte* record, std::uint64_t at) {
  if (at >= k_locator64_size && has_signature(file, at - k_locator64_size, k_locator64_signature)) return true;
  const std::uint64_t central_bytes = load32(record + 12);
  if (central_bytes == 0) return load16(record + 10) == 0;
  return central_bytes <= at && has_signature(file, at - central_bytes, k_central_signature);
}

std::uint64_t find_end_record(const ArchiveFile& file) {
  if (file.size_bytes < k_end_size) throw damaged("is too short for a zip archive");
  const Tail near(file, k_end_size + k_comment_most);
  const auto exact = near.find_last(
      [&](std::size_t at) { return at + k_end_size + load16(near.bytes.data() + at + 20) == near.bytes.size(); });
  if (exact) return *exact;
  const Tail far(file, k_end_size + k_comment_most + k_behind_most);
  const auto likely =
      far.find_last([&](std::size_t at) { return ends_a_list(file, far.bytes.data() + at, far.begin + at); });
  if (likely) return *likely;
  if (has_signature(file, 0, k_split_signature) && has_signature(file, 4, k_local_signature)) {
    throw unsupported("is a part of a split archive; the list of its entries is in the last part");
  }
  throw damaged("has no end of central directory record: truncated, or not a zip archive");
}

// The fields of the end record, or of zip64's.
struct Fields {
  std::uint64_t entries = 0;
  std::uint64_t entries_here = 0;
  std::uint64_t central_bytes = 0;
  std::uint64_t central_offset = 0;
  std::uint32_t disk = 0;
  std::uint32_t central_disk = 0;
};

Fields plain_fields(const std::byte* p) {
  return {load16(p + 10), load16(p + 8), load32(p + 12), load32(p + 16), load16(p + 4), load16(p + 6)};
}

Fields zip64_fields(const std::byte* p) {
  return {load64(p + 32), load64(p + 24), load64(p + 40), load64(p + 48), load32(p + 16), load32(p + 20)};
}

bool says_zip64(const Fields& plain) noexcept {
  return plain.entries == k_zip64_count || plain.central_bytes == k_zip64_size || plain.central_offset == k_zip64_size;
}

// Some readers look at zip64 only where a plain field sends them there: they must not see another archive.
void require_agreement(const Fields& plain, const Fields& zip64) {
  const auto agrees = [](std::uint64_t plain_field, std::uint64_t field, std::uint64_t see_zip64) {
    return plain_field == see_zip64 || plain_field == field;
  };
  if (!agrees(plain.entries, zip64.entries, k_zip64_count) ||
      !agrees(plain.central_offset, zip64.central_offset, k_zip64_size) ||
      !agrees(plain.central_bytes, zip64.central_bytes, k_zip64_size)) {
    throw damaged("end records contradict each other");
  }
}

// What stands before the end record at `end_at`.
class Search {
 public:
  Search(const ArchiveFile& file, std::uint64_t end_at, std::vector<Finding>& findings)
      : file_(file), end_at_(end_at), central_end_(end_at), findings_(findings) {}

  EndRecord end(const Fields& plain) {
    fields_ = plain;
    read_zip64(plain);
    const std::uint64_t begin = find_directory();
    if (fields_.entries > fields_.central_bytes / k_central_size)
      throw damaged("promises more entries than there is room for");
    judge_disks();
    EndRecord end{fields_.entries, begin, fields_.central_bytes};
    end.shift = begin - fields_.central_offset;
    end.disk = fields_.disk;
    return end;
  }

 private:
  void unusual(std::string text) { findings_.push_back({FindingKind::unusual, std::move(text)}); }

  // zip64's end record lies where the locator says; where bytes were put before the archive, right before the locator.
  void read_zip64(const Fields& plain) {
    if (end_at_ < k_locator64_size || !has_signature(file_, end_at_ - k_locator64_size, k_locator64_signature)) return;
    const std::uint64_t locator_at = end_at_ - k_locator64_size;
    std::array<std::byte, k_locator64_size> locator;
    read_exactly(file_, locator, locator_at);
    pointer64_ = load64(locator.data() + 8);
    const auto is_record = [&](std::uint64_t at) {
      return at <= locator_at && locator_at - at >= k_end64_size && has_signature(file_, at, k_end64_signature);
    };
    if (is_record(pointer64_)) {
      central_end_ = pointer64_;
    } else if (locator_at >= k_end64_size && is_record(locator_at - k_end64_size)) {
      central_end_ = locator_at - k_end64_size;
    } else if (says_zip64(plain)) {
      throw damaged("its zip64 locator points at a place without the signature of an end record");
    } else {
      return unusual("the last bytes before its end record look like a zip64 locator and are none");
    }
    std::array<std::byte, k_end64_size> record;
    read_exactly(file_, record, central_end_);
    fields_ = zip64_fields(record.data());
    has_zip64_ = true;
    require_agreement(plain, fields_);
  }

  // Where the list of entries begins in the file.
  std::uint64_t find_directory() {
    constexpr const char* k_elsewhere = "central directory does not lie where the end record says";
    if (fields_.disk != fields_.central_disk && !lies_as_said()) {
      throw unsupported(fmt::format("is part {} of a split archive; the list of its entries begins in part {}",
                                    std::uint64_t{fields_.disk} + 1, std::uint64_t{fields_.central_disk} + 1));
    }
    if (fields_.central_bytes > central_end_) throw damaged(k_elsewhere);
    const std::uint64_t begin = central_end_ - fields_.central_bytes;
    if (begin < fields_.central_offset) {
      throw damaged(fmt::format("{}: {} bytes are missing before it", k_elsewhere, fields_.central_offset - begin));
    }
    const std::uint64_t shift = begin - fields_.central_offset;
    if (has_zip64_ && central_end_ - pointer64_ != shift) {
      throw damaged("its zip64 locator points beside the end record");
    }
    if (shift == 0) return begin;
    if (fields_.central_bytes > 0 && !has_signature(file_, begin, k_central_signature)) throw damaged(k_elsewhere);
    unusual(fmt::format("{} bytes stand before the archive, and its offsets leave them out", shift));
    return begin;
  }

  bool lies_as_said() const {
    return fields_.central_bytes <= central_end_ && fields_.central_offset == central_end_ - fields_.central_bytes &&
           has_signature(file_, fields_.central_offset, k_central_signature);
  }

  void judge_disks() {
    if (fields_.disk != 0 || fields_.central_disk != 0) {
      unusual(
          fmt::format("its end record says that it is part {} of a split archive", std::uint64_t{fields_.disk} + 1));
    } else if (fields_.entries_here != fields_.entries) {
      unusual(fmt::format("its end record says that {} of its {} entries are in this part", fields_.entries_here,
                          fields_.entries));
    }
  }

  const ArchiveFile& file_;
  const std::uint64_t end_at_;
  std::uint64_t central_end_;
  std::vector<Finding>& findings_;
  Fields fields_;
  bool has_zip64_ = false;
  std::uint64_t pointer64_ = 0;
};

// The comment, and what is behind it.
std::string read_comment(const ArchiveFile& file, std::uint64_t end_at, std::size_t said,
                         std::vector<Finding>& findings) {
  const std::uint64_t rest = file.size_bytes - end_at - k_end_size;
  std::vector<std::byte> bytes(static_cast<std::size_t>(rest));  // at most k_comment_most and k_behind_most
  read_exactly(file, bytes, end_at + k_end_size);
  if (said > bytes.size()) {
    findings.push_back({FindingKind::damaged, fmt::format("its comment is cut: {} of {} bytes", bytes.size(), said)});
  } else if (said < bytes.size()) {
    const bool zeros = std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(said), bytes.end(),
                                   [](std::byte byte) { return byte == std::byte{0}; });
    findings.push_back({FindingKind::unusual, fmt::format("{} {} stand behind the archive", bytes.size() - said,
                                                          zeros ? "zero bytes" : "other bytes")});
  }
  bytes.resize(std::min(bytes.size(), said));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ArchiveEnd locate_end(const ArchiveFile& file) {
  ArchiveEnd found;
  try {
    const std::uint64_t at = find_end_record(file);
    std::array<std::byte, k_end_size> record;
    read_exactly(file, record, at);
    found.comment = read_comment(file, at, load16(record.data() + 20), found.findings);
    found.end = Search(file, at, found.findings).end(plain_fields(record.data()));
  } catch (const NotFound& reason) {
    found.findings.push_back(reason.finding);
  }
  std::sort(found.findings.begin(), found.findings.end());
  return found;
}

EndRecord read_end_record(const ArchiveFile& file) {
  const ArchiveEnd found = locate_end(file);
  if (!found.findings.empty()) throw corrupt(file, found.findings.front().text);
  return *found.end;
}

}  // namespace zipmodule::zip
