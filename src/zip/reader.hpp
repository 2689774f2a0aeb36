// Reads archives: ours to verify them, anyone's to inspect them. Every byte of the file is untrusted: nothing here
// crashes, hangs or takes more memory than a few buffers, whatever it says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "zip/format.hpp"

namespace zipmodule::zip {

// An open archive file. `fd` is not owned and must stay open; reads use pread, so one file may be read by many threads.
struct ArchiveFile {
  int fd = -1;
  std::string path;  // for messages
  std::uint64_t size_bytes = 0;
};

// Takes the size from the file. Throws Error{io}.
ArchiveFile open_archive(int fd, const std::string& path);

// Exactly `buffer` from the offset on. Throws Error{corrupt} where the file is shorter, Error{io}.
void read_exactly(const ArchiveFile& file, std::span<std::byte> buffer, std::uint64_t offset);
// Error{corrupt} with the file's name before `what`.
Error corrupt(const ArchiveFile& file, const std::string& what);
// An entry's name for messages: at most 200 bytes of it, made printable.
std::string shown_name(std::string_view name);

// Finds the end of central directory record, zip64 included, of a plain archive that is the whole file (APPNOTE 4.3.14
// to 4.3.16). Throws Error{corrupt} for all else, also for what locate_end (end_record.hpp) only finds unusual.
EndRecord read_end_record(const ArchiveFile& file);

// The central directory, record by record, in constant memory. Throws Error{corrupt} where a record is broken, points
// outside the file, or the number of records is not the one promised. Offsets are those in the file. Records of other
// parts of a split archive (EndRecord::disk) come as they are. Not thread-safe.
class CentralDirectory {
 public:
  CentralDirectory(const ArchiveFile& file, const EndRecord& end);
  ~CentralDirectory();

  // The next record, or nullopt behind the last one.
  std::optional<CentralRecord> next();

  // SHA-256 over the central directory's bytes, as hex: equal for archives of equal names, sizes, times, CRCs and
  // offsets. Call it after next() returned nullopt.
  std::string fingerprint();

 private:
  struct Hash;
  void refill();

  const ArchiveFile& file_;
  const EndRecord end_;
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0;       // consumed bytes of buffer_
  std::uint64_t read_at_ = 0;  // file offset behind buffer_
  std::uint64_t seen_ = 0;     // records returned
  std::unique_ptr<Hash> hash_;
};

// Reads the local header of a record and checks that it says the same (names, flags, method, sizes, CRC; sizes and CRC
// not where a data descriptor follows). Throws Error{corrupt}. Returns where the data begins.
std::uint64_t read_local_header(const ArchiveFile& file, const CentralRecord& record);

// The same for a record whose name is not known: returns the header's name too, and does not compare it.
struct NamedHeader {
  std::uint64_t data_offset = 0;
  std::string name;
};
NamedHeader read_named_header(const ArchiveFile& file, const CentralRecord& record);

// Where the entry's bytes end, a data descriptor included (APPNOTE 4.3.9).
std::uint64_t end_of_entry(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset);

}  // namespace zipmodule::zip
