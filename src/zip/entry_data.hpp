// Decodes the data of an archive's entries and compares it with what the records say. Every byte is untrusted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "zip/reader.hpp"

namespace zipmodule::zip {

// Decodes the entry's data and compares size and CRC. Throws Error{corrupt}, also for methods other than stored and
// deflated and for encrypted entries; Error{io}; Error{stopped}.
void verify_data(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset,
                 const std::stop_token& stop);

// What a run of an entry's data decodes to.
struct DataTotals {
  std::uint32_t crc = 0;
  std::uint64_t bytes = 0;
};

// The same for a large entry in parts, which may be decoded at the same time. Stored data can be cut anywhere. A deflate
// stream is cut behind empty stored blocks (RFC 1951, 3.2.4), where writers that compress in chunks join them, if no
// distance leads back over the cut; that is not believed but seen: every part but the last has to end with such a block,
// and none may lead before its own beginning. Any other stream is decoded in one piece after all.
class PartedEntry {
 public:
  // Parts begin about as many compressed bytes apart.
#ifdef ZIPMODULE_CHUNK_BYTES  // small, so that fuzzers' archives have parts
  static constexpr std::uint64_t k_part_bytes = 512;
#else
  static constexpr std::uint64_t k_part_bytes = std::uint64_t{1} << 20U;
#endif
  static bool is_worth_it(const CentralRecord& record) noexcept;

  // `file` must outlive it.
  PartedEntry(const ArchiveFile& file, CentralRecord record, std::uint64_t data_offset);

  std::size_t parts() const noexcept { return totals_.size(); }
  // Each part has to be verified once; thread-safe for different ones. The call that ends as the last compares the whole,
  // and throws as verify_data does. Holds no more than a few buffers.
  void verify(std::size_t part, const std::stop_token& stop);

 private:
  std::optional<std::uint64_t> begin_of(std::size_t part, const std::stop_token& stop) const;
  bool decode(std::size_t part, const std::stop_token& stop);

  const ArchiveFile& file_;
  const CentralRecord record_;
  const std::uint64_t data_offset_;
  std::vector<DataTotals> totals_;
  std::atomic<std::size_t> unfinished_;
  std::atomic<bool> one_piece_ = false;  // the parts are not what they seemed
  std::atomic<bool> failed_ = false;     // a part has thrown
};

// Throws Error{corrupt} for a deflated entry, of which verify_data found nothing, whose stream Windows can't read
// (deflate_stream.hpp). Holds the entry in memory twice: for those of at most k_portable_check_bytes.
inline constexpr std::uint64_t k_portable_check_bytes = std::uint64_t{16} << 20U;
void require_portable(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset);

}  // namespace zipmodule::zip
