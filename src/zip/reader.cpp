#include "zip/reader.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/terminal_text.hpp"

namespace zipmodule::zip {
namespace {

constexpr std::size_t k_buffer_bytes = std::size_t{1} << 20U;
// The longest record: fixed part, name, extra fields and comment, each with a 16-bit length.
constexpr std::size_t k_record_most = k_central_size + std::size_t{3} * 65'535;

}  // namespace

Error corrupt(const ArchiveFile& file, const std::string& what) {
  return {ErrorKind::corrupt, fmt::format("{}: {}", file.path, what)};
}

std::string shown_name(std::string_view name) { return printable(name.substr(0, 200)); }

void read_exactly(const ArchiveFile& file, std::span<std::byte> buffer, std::uint64_t offset) {
  const auto n = pread_full(file.fd, buffer, offset);
  if (n < 0) throw Error(ErrorKind::io, fmt::format("read {}: {}", file.path, errno_text(errno)));
  if (static_cast<std::size_t>(n) != buffer.size()) throw corrupt(file, "ends in the middle of a record");
}

ArchiveFile open_archive(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw Error(ErrorKind::io, fmt::format("stat {}: {}", path, errno_text(errno)));
  return {fd, path, static_cast<std::uint64_t>(status.st_size)};
}

struct CentralDirectory::Hash {
  Hash() : context(EVP_MD_CTX_new()) {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) {
      throw Error(ErrorKind::internal, "OpenSSL: SHA-256 is not available");
    }
  }
  ~Hash() { EVP_MD_CTX_free(context); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  EVP_MD_CTX* context;
};

CentralDirectory::CentralDirectory(const ArchiveFile& file, const EndRecord& end)
    : file_(file), end_(end), read_at_(end.central_offset), hash_(std::make_unique<Hash>()) {}

CentralDirectory::~CentralDirectory() = default;

void CentralDirectory::refill() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ = 0;
  const std::size_t kept = buffer_.size();
  const std::uint64_t left = end_.central_offset + end_.central_bytes - read_at_;
  const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(left, k_buffer_bytes));
  buffer_.resize(kept + more);
  const auto fresh = std::span(buffer_).subspan(kept);
  read_exactly(file_, fresh, read_at_);
  EVP_DigestUpdate(hash_->context, fresh.data(), fresh.size());
  read_at_ += more;
}

std::optional<CentralRecord> CentralDirectory::next() {
  const bool more_to_read = read_at_ < end_.central_offset + end_.central_bytes;
  if (more_to_read && buffer_.size() - used_ < k_record_most) refill();
  if (used_ == buffer_.size()) {
    if (seen_ != end_.entries)
      throw corrupt(file_, fmt::format("has {} entries, its end record says {}", seen_, end_.entries));
    return std::nullopt;
  }
  if (seen_ == end_.entries)
    throw corrupt(file_, fmt::format("has more than the {} entries its end record says", end_.entries));
  CentralRecord record;
  const auto length = decode_central_record(std::span(buffer_).subspan(used_), record);
  if (!length) throw corrupt(file_, fmt::format("central directory record {} is broken", seen_));
  used_ += *length;
  ++seen_;
  const std::uint64_t room = end_.central_offset;
  // Of a split archive only what lies in this part has to be here.
  if (end_.disk != 0 && record.disk != end_.disk) return record;
  record.offset += std::min(end_.shift, std::numeric_limits<std::uint64_t>::max() - record.offset);
  if (record.offset > room || record.compressed_bytes > room - record.offset) {
    throw corrupt(file_, fmt::format("entry '{}' lies outside the archive", shown_name(record.name)));
  }
  return record;
}

std::string CentralDirectory::fingerprint() {
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(hash_->context, digest.data(), &length);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

NamedHeader read_named_header(const ArchiveFile& file, const CentralRecord& record) {
  std::array<std::byte, k_local_size> fixed;
  read_exactly(file, fixed, record.offset);
  const auto length = local_header_length(fixed);
  if (!length) throw corrupt(file, fmt::format("entry '{}' has no local header", shown_name(record.name)));
  std::vector<std::byte> whole(*length);
  read_exactly(file, whole, record.offset);
  auto local = decode_local_header(whole);
  if (!local) throw corrupt(file, fmt::format("entry '{}' has a broken local header", shown_name(record.name)));
  const auto require_equal = [&](bool equal, const char* what) {
    if (equal) return;
    throw corrupt(file, fmt::format("entry '{}': local header and central directory differ in {}",
                                    shown_name(record.name.empty() ? local->name : record.name), what));
  };
  require_equal(local->flags == record.flags, "flags");
  require_equal(local->method == record.method, "method");
  if ((record.flags & k_flag_descriptor) == 0) {
    require_equal(local->crc == record.crc, "CRC");
    require_equal(local->size_bytes == record.size_bytes, "size");
    require_equal(local->compressed_bytes == record.compressed_bytes, "compressed size");
  }
  return {record.offset + local->header_bytes, std::move(local->name)};
}

std::uint64_t read_local_header(const ArchiveFile& file, const CentralRecord& record) {
  const NamedHeader header = read_named_header(file, record);
  if (header.name != record.name) {
    throw corrupt(
        file, fmt::format("entry '{}': local header and central directory differ in name", shown_name(record.name)));
  }
  return header.data_offset;
}

std::uint64_t end_of_entry(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data_offset) {
  const std::uint64_t data_end = data_offset + record.compressed_bytes;
  if (data_end < data_offset || data_end > file.size_bytes) throw corrupt(file, "ends in the middle of an entry");
  if ((record.flags & k_flag_descriptor) == 0) return data_end;
  // Signature optional, sizes of 4 or 8 bytes: the form is the one whose fields fit.
  std::array<std::byte, 24> descriptor{};
  const auto there = static_cast<std::size_t>(std::min<std::uint64_t>(descriptor.size(), file.size_bytes - data_end));
  read_exactly(file, std::span(descriptor).first(there), data_end);
  for (const std::size_t fields : {4U, 0U}) {
    const std::byte* p = descriptor.data() + fields;
    if ((fields == 4 && load32(descriptor.data()) != k_descriptor_signature) || load32(p) != record.crc) continue;
    if (load64(p + 4) == record.compressed_bytes && load64(p + 12) == record.size_bytes) return data_end + fields + 20;
    if (load32(p + 4) == record.compressed_bytes && load32(p + 8) == record.size_bytes) return data_end + fields + 12;
  }
  throw corrupt(file, fmt::format("entry '{}' has a broken data descriptor", shown_name(record.name)));
}

}  // namespace zipmodule::zip
