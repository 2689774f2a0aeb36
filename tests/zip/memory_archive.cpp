#include "zip/memory_archive.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "base/byte_budget.hpp"
#include "base/thread_pool.hpp"

namespace zipmodule::zip {

std::unique_ptr<EntryReader> MemoryContent::open(std::size_t index) {
  return std::make_unique<TextReader>(entries_[index].data);
}

std::size_t TextReader::read_at(std::uint64_t offset, std::span<std::byte> buffer) {
  if (offset >= text_.size()) return 0;
  const auto n = std::min<std::size_t>(buffer.size(), text_.size() - static_cast<std::size_t>(offset));
  std::memcpy(buffer.data(), text_.data() + offset, n);
  return n;
}

MemoryFile::MemoryFile() : fd_(::memfd_create("archive", MFD_CLOEXEC)) {
  if (!fd_) throw std::runtime_error("memfd_create");
}

MemoryFile::MemoryFile(std::string_view content) : MemoryFile() {
  if (!pwrite_full(fd(), bytes_of(content), 0)) throw std::runtime_error("pwrite");
}

std::string MemoryFile::content() const {
  std::string text(archive().size_bytes, '\0');
  if (pread_full(fd(), std::as_writable_bytes(std::span(text)), 0) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("pread");
  }
  return text;
}

void MemoryFile::resize(std::uint64_t size_bytes) const {
  if (::ftruncate(fd(), static_cast<off_t>(size_bytes)) != 0) throw std::runtime_error("ftruncate");
}

WriteResult write_to(int fd, const EntryList& entries, Content& content, const WriteSettings& settings,
                     const std::stop_token& stop) {
  ThreadPool pool(settings.threads);
  ByteBudget budget(settings.budget_bytes);
  WriteOptions options;
  options.level = settings.level;
  options.allow_empty = settings.allow_empty;
  options.align = settings.align;
  return write_archive(fd, "memory.zip", entries, content, options, {pool, budget}, stop);
}

std::string write_archive_bytes(MemoryContent& content, const WriteSettings& settings) {
  const MemoryFile file;
  const WriteResult result = write_to(file.fd(), content, content, settings);
  verify_against_plan(file.archive(), content);
  if (result.bytes_out != file.archive().size_bytes)
    throw std::runtime_error("bytes_out is not the size of the archive");
  return file.content();
}

std::vector<CentralRecord> records_of(const ArchiveFile& file) {
  std::vector<CentralRecord> records;
  CentralDirectory directory(file, read_end_record(file));
  while (auto record = directory.next()) records.push_back(std::move(*record));
  return records;
}

std::string data_of(const ArchiveFile& file, const CentralRecord& record) {
  std::string data(record.compressed_bytes, '\0');
  const auto begin = read_local_header(file, record);
  if (pread_full(file.fd, std::as_writable_bytes(std::span(data)), begin) != static_cast<ssize_t>(data.size())) {
    throw std::runtime_error("entry is not whole");
  }
  if (record.method == 0) return data;
  const auto decoded = inflate_raw(data);
  if (!decoded) throw std::runtime_error("broken deflate data");
  return *decoded;
}

VerifyReport verify_bytes(std::string_view archive) {
  const MemoryFile file(archive);
  ThreadPool pool(2);
  return verify_archive(file.archive(), pool, {});
}

std::string problems_of(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", to_string(finding.kind), finding.text);
  }
  return text;
}

std::optional<std::string> inflate_raw(std::string_view deflated) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::runtime_error("inflateInit2");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(deflated.data()));
  stream.avail_in = static_cast<uInt>(deflated.size());
  std::string out;
  std::array<char, 65536> buffer{};
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = buffer.size();
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  const bool exact = result == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (!exact) return std::nullopt;
  return out;
}

}  // namespace zipmodule::zip
