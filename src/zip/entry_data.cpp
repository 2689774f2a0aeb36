#include "zip/entry_data.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "zip/crc.hpp"
#include "zip/deflate_stream.hpp"

namespace zipmodule::zip {
namespace {

Error stopped() { return {ErrorKind::stopped, "verification was stopped"}; }

// Feeds the entry's bytes, a buffer at a time, to `use`.
template <class Use>
void for_each_block(const ArchiveFile& file, std::uint64_t offset, std::uint64_t bytes, const std::stop_token& stop,
                    Use use) {
  thread_local std::vector<std::byte> buffer(std::size_t{256} << 10U);
  while (bytes > 0) {
    if (stop.stop_requested()) throw stopped();
    const auto block = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, buffer.size())));
    read_exactly(file, block, offset);
    if (!use(std::span<const std::byte>(block))) return;
    offset += block.size();
    bytes -= block.size();
  }
}

class StreamInflater {
 public:
  StreamInflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw Error(ErrorKind::internal, "zlib: out of memory");
  }
  ~StreamInflater() { inflateEnd(&stream_); }
  StreamInflater(const StreamInflater&) = delete;
  StreamInflater& operator=(const StreamInflater&) = delete;

  // Decodes a block into `totals`. Returns false when the stream has ended, is broken, or passes `most` bytes.
  bool feed(std::span<const std::byte> block, std::uint64_t most, DataTotals& totals) {
    thread_local std::vector<std::byte> out(std::size_t{256} << 10U);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(block.data()));  // zlib's API lacks the const
    stream_.avail_in = static_cast<uInt>(block.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      const auto made = std::span(out).first(out.size() - stream_.avail_out);
      totals.crc = crc32(totals.crc, made);
      totals.bytes += made.size();
      ended_ = result == Z_STREAM_END;
      if ((result != Z_OK && result != Z_BUF_ERROR) || totals.bytes > most) return false;
    } while (stream_.avail_out == 0 || stream_.avail_in > 0);
    return true;
  }

  // The stream ended exactly with the last byte it was given.
  bool ended_exactly() const noexcept { return ended_ && stream_.avail_in == 0; }
  // It has not, and what comes next is a block that begins with the next byte: of data_type the low bits are the number
  // of bits left over, 64 is the final block, 128 the place between two blocks.
  bool is_between_blocks() const noexcept { return !ended_ && stream_.avail_in == 0 && stream_.data_type == 128; }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

Error broken(const ArchiveFile& file, const CentralRecord& record, const std::string& what) {
  return corrupt(file, fmt::format("entry '{}' {}", shown_name(record.name), what));
}

void compare_totals(const ArchiveFile& file, const CentralRecord& record, const DataTotals& totals) {
  if (totals.bytes != record.size_bytes)
    throw broken(file, record, fmt::format("has {} bytes instead of {}", totals.bytes, record.size_bytes));
  if (totals.crc != record.crc)
    throw broken(file, record, fmt::format("has CRC {:08x} instead of {:08x}", totals.crc, record.crc));
}

void add_stored(const ArchiveFile& file, std::uint64_t offset, std::uint64_t bytes, const std::stop_token& stop,
                DataTotals& totals) {
  for_each_block(file, offset, bytes, stop, [&](std::span<const std::byte> block) {
    totals.crc = crc32(totals.crc, block);
    totals.bytes += block.size();
    return true;
  });
}

// Feeds all of the range, and returns whether the inflater took it.
bool add_deflated(const ArchiveFile& file, std::uint64_t offset, std::uint64_t bytes, std::uint64_t most,
                  const std::stop_token& stop, StreamInflater& inflater, DataTotals& totals) {
  std::uint64_t fed = 0;
  for_each_block(file, offset, bytes, stop, [&](std::span<const std::byte> block) {
    fed += block.size();
    return inflater.feed(block, most, totals);
  });
  return fed == bytes;
}

constexpr std::array<std::byte, 4> k_empty_stored_block{std::byte{0}, std::byte{0}, std::byte{0xFF}, std::byte{0xFF}};

bool is_method(const CentralRecord& record, Method method) noexcept {
  return record.method == static_cast<std::uint16_t>(method);
}

}  // namespace

void verify_data(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset,
                 const std::stop_token& stop) {
  if ((record.flags & k_flag_encrypted) != 0) throw broken(file, record, "is encrypted");
  DataTotals totals;
  if (is_method(record, Method::stored)) {
    add_stored(file, data_offset, record.compressed_bytes, stop, totals);
  } else if (is_method(record, Method::deflated)) {
    StreamInflater inflater;
    if (!add_deflated(file, data_offset, record.compressed_bytes, record.size_bytes, stop, inflater, totals) ||
        !inflater.ended_exactly()) {
      throw broken(file, record, "has broken deflate data");
    }
  } else {
    throw broken(
        file, record,
        fmt::format("is compressed by {}; only stored and deflated entries are read", method_name(record.method)));
  }
  compare_totals(file, record, totals);
}

bool PartedEntry::is_worth_it(const CentralRecord& record) noexcept {
  return record.compressed_bytes >= 2 * k_part_bytes && (record.flags & k_flag_encrypted) == 0 &&
         (is_method(record, Method::stored) || is_method(record, Method::deflated));
}

PartedEntry::PartedEntry(const ArchiveFile& file, CentralRecord record, std::uint64_t data_offset)
    : file_(file),
      record_(std::move(record)),
      data_offset_(data_offset),
      totals_(static_cast<std::size_t>(record_.compressed_bytes / k_part_bytes)),
      unfinished_(totals_.size()) {}

// Where the part begins in the entry's data: between `part` times k_part_bytes and once more, and there may be no cut.
std::optional<std::uint64_t> PartedEntry::begin_of(std::size_t part, const std::stop_token& stop) const {
  const std::uint64_t from = part * k_part_bytes;
  if (part == 0 || is_method(record_, Method::stored)) return from;
  constexpr std::size_t k_lengths = k_empty_stored_block.size();
  const std::uint64_t end = from + k_part_bytes - 1;
  thread_local std::vector<std::byte> buffer(std::size_t{64} << 10U);
  // A cut lies behind a block's lengths: each look at the data begins with what could be the front of them.
  for (std::uint64_t at = from - k_lengths; at + k_lengths <= end; at += buffer.size() - (k_lengths - 1)) {
    if (stop.stop_requested()) throw stopped();
    const auto block =
        std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(end - at, buffer.size())));
    read_exactly(file_, block, data_offset_ + at);
    const void* hit = memmem(block.data(), block.size(), k_empty_stored_block.data(), k_lengths);
    if (hit != nullptr)
      return at + static_cast<std::uint64_t>(static_cast<const std::byte*>(hit) - block.data()) + k_lengths;
  }
  return std::nullopt;
}

// The part's own totals. Returns false where it is no piece of the entry's stream.
bool PartedEntry::decode(std::size_t part, const std::stop_token& stop) {
  const auto begin = begin_of(part, stop);
  if (!begin) return true;  // it belongs to the part before
  std::optional<std::uint64_t> next;
  for (std::size_t i = part + 1; i < parts() && !next; ++i) next = begin_of(i, stop);
  const std::uint64_t bytes = next.value_or(record_.compressed_bytes) - *begin;
  DataTotals& totals = totals_[part];
  if (is_method(record_, Method::stored)) {
    add_stored(file_, data_offset_ + *begin, bytes, stop, totals);
    return true;
  }
  StreamInflater inflater;
  if (!add_deflated(file_, data_offset_ + *begin, bytes, record_.size_bytes, stop, inflater, totals)) return false;
  return next ? inflater.is_between_blocks() : inflater.ended_exactly();
}

void PartedEntry::verify(std::size_t part, const std::stop_token& stop) {
  std::exception_ptr problem;
  try {
    if (!one_piece_ && !decode(part, stop)) one_piece_ = true;
  } catch (const Error&) {
    failed_ = true;  // as the file can't be read, or by a stop
    problem = std::current_exception();
  }
  const bool last = unfinished_.fetch_sub(1) == 1;
  if (problem) std::rethrow_exception(problem);
  if (!last || failed_) return;
  if (one_piece_) return verify_data(file_, record_, data_offset_, stop);
  DataTotals whole;
  for (const DataTotals& totals : totals_) {
    whole.crc = crc32_of_both(whole.crc, totals.crc, totals.bytes);
    whole.bytes += totals.bytes;
  }
  compare_totals(file_, record_, whole);
}

void require_portable(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset) {
  if (record.method != static_cast<std::uint16_t>(Method::deflated)) return;
  std::vector<std::byte> deflated(static_cast<std::size_t>(record.compressed_bytes));
  read_exactly(file, deflated, data_offset);
  std::vector<std::byte> data(static_cast<std::size_t>(record.size_bytes));
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw Error(ErrorKind::internal, "zlib: out of memory");
  stream.next_in = reinterpret_cast<Bytef*>(deflated.data());
  stream.avail_in = static_cast<uInt>(deflated.size());
  stream.next_out = reinterpret_cast<Bytef*>(data.data());
  stream.avail_out = static_cast<uInt>(data.size());
  const bool whole = ::inflate(&stream, Z_FINISH) == Z_STREAM_END;
  ::inflateEnd(&stream);
  const DeflateFindings findings = whole ? inspect_deflate(deflated, data) : DeflateFindings{};
  if (findings.decodes && findings.portable_codes) return;
  throw corrupt(file,
                fmt::format("entry '{}' is compressed in a way that Windows can't read", shown_name(record.name)));
}

}  // namespace zipmodule::zip
