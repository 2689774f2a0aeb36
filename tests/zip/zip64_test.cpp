// Archives at the borders of zip64, with as much real data as can be afforded.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "zip/codec.hpp"
#include "zip/crc.hpp"
#include "zip/forged_archive.hpp"
#include "zip/format.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using zipmodule::test::Command;
using zipmodule::test::TempDir;

constexpr std::uint64_t k_4g = std::uint64_t{1} << 32U;

// Entries of zeros, of any size.
class ZerosContent : public EntryList, public Content {
 public:
  explicit ZerosContent(std::vector<std::uint64_t> sizes) : sizes_(std::move(sizes)) {
    for (std::size_t i = 0; i < sizes_.size(); ++i) names_.push_back(fmt::format("{}-{}.bin", i, sizes_[i]));
  }
  std::size_t size() const noexcept override { return sizes_.size(); }
  EntryView at(std::size_t index) const override { return {names_[index], sizes_[index], k_mtime, false, false}; }
  std::unique_ptr<EntryReader> open(std::size_t index) override { return std::make_unique<Zeros>(sizes_[index]); }
  const std::string& name(std::size_t index) const { return names_[index]; }

 private:
  class Zeros final : public EntryReader {
   public:
    explicit Zeros(std::uint64_t size) : size_(size) {}
    std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_ - std::min(size_, offset)));
      std::memset(buffer.data(), 0, n);
      return n;
    }
    void require_unchanged() override {}

   private:
    std::uint64_t size_;
  };
  std::vector<std::uint64_t> sizes_;
  std::vector<std::string> names_;
};

// The same, with the deflated data handed over ready: compressing four times 4 GiB would take a minute.
class DeflatedZeros final : public ZerosContent {
 public:
  using ZerosContent::ZerosContent;
  std::optional<RawData> raw(std::size_t index) override {
    const std::uint64_t size = at(index).size_bytes;
    static const std::vector<std::byte> zeros(k_chunk_bytes);
    std::vector<std::byte> chunk;
    deflate_chunk(zeros, Level::fast, false, chunk);
    std::vector<std::byte> stream;
    for (std::uint64_t i = 0; i < size / k_chunk_bytes; ++i) stream.insert(stream.end(), chunk.begin(), chunk.end());
    const auto rest = static_cast<std::size_t>(size % k_chunk_bytes);
    deflate_chunk(std::span(zeros).first(rest), Level::fast, true, stream);
    streams_.emplace_back(text_of(stream));
    return RawData{std::make_unique<TextReader>(streams_.back()), stream.size(), crc_of_zeros(size), Method::deflated};
  }

 private:
  // By doubling: the CRC of 4 GiB without reading them.
  static std::uint32_t crc_of_zeros(std::uint64_t size) {
    std::uint32_t crc = 0;
    std::uint32_t block = crc32(0, std::vector<std::byte>(1));
    std::uint64_t block_bytes = 1;
    for (; size > 0; size /= 2) {
      if (size % 2 == 1) crc = crc32_of_both(crc, block, block_bytes);
      block = crc32_of_both(block, block, block_bytes);
      block_bytes *= 2;
    }
    return crc;
  }
  std::list<std::string> streams_;
};

std::string shell(const std::string& script, const TempDir& dir) {
  Command command;
  command.argv = {"sh", "-ec", script};
  command.where = dir.path();
  const auto result = run(command);
  INFO(script << ": " << result.text());
  CHECK(result.exit_code == 0);
  return result.out;
}

const char* const k_python_sizes = R"(python3 -c '
import zipfile
for i in zipfile.ZipFile("x.zip").infolist(): print(i.filename, i.file_size, i.header_offset)
')";

// Every judge's listing names every entry with its size.
void check_listings(const TempDir& dir, const ZerosContent& content) {
  const std::string by_zipinfo = shell("zipinfo -l x.zip", dir);
  const std::string by_7zz = shell(test::seven_zip_program() + " l -bd x.zip", dir);
  const std::string by_bsdtar = shell("bsdtar -tvf x.zip", dir);
  const std::string by_unzip = shell("unzip -l x.zip", dir);
  const std::string by_python = shell(k_python_sizes, dir);
  shell("zipdetails x.zip > details", dir);
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string size = std::to_string(content.at(i).size_bytes);
    for (const auto& listing : {by_zipinfo, by_7zz, by_bsdtar, by_unzip}) {
      const auto at = listing.find(content.name(i));
      REQUIRE(at != std::string::npos);
      const auto line = listing.rfind('\n', at) + 1;
      CHECK_THAT(listing.substr(line, at - line), Catch::Matchers::Contains(size));
    }
    CHECK_THAT(by_python, Catch::Matchers::Contains(content.name(i) + " " + size));
  }
}

Fd create(const TempDir& dir) {
  Fd fd(::open((dir / "x.zip").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  REQUIRE(fd);
  return fd;
}

TEST_CASE("entries of 4 GiB - 2, - 1, exactly and + 1 have their sizes with every reader") {
  const TempDir dir("zip64");
  DeflatedZeros content({k_4g - 2, k_4g - 1, k_4g, k_4g + 1, 5});
  const Fd fd = create(dir);
  write_to(fd.get(), content, content);
  const ArchiveFile file = open_archive(fd.get(), "x.zip");
  verify_against_plan(file, content);
  const auto records = records_of(file);
  REQUIRE(records.size() == 5);
  const std::vector<unsigned> versions{20, 45, 45, 45, 20};
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(records[i].version_needed == versions[i]);
  CHECK(records[2].crc == 0xD202EF8D);  // of 4 GiB of zeros
  check_listings(dir, content);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("entries at and past an offset of 4 GiB are found by every reader") {
  const TempDir dir("zip64");
  // The third entry's header lies at 4 GiB - 1 exactly: that offset goes to zip64, the one before does not.
  ZerosContent content({k_4g - 1 - 2 * 30 - 2 * 9 - 16 - 7 - 5, 5, 7, 9});
  const Fd fd = create(dir);
  write_to(fd.get(), content, content, {Level::store});
  const ArchiveFile file = open_archive(fd.get(), "x.zip");
  verify_against_plan(file, content);
  const auto records = records_of(file);
  REQUIRE(records.size() == 4);
  INFO(records[1].offset << " " << records[2].offset);
  CHECK(records[1].offset < k_4g - 1);
  CHECK(records[1].version_needed == 10);
  CHECK(records[2].offset == k_4g - 1);
  for (const std::size_t i : {2U, 3U}) {
    CHECK(records[i].version_needed == 45);
    CHECK(data_of(file, records[i]) == std::string(content.at(i).size_bytes, '\0'));
  }
  check_listings(dir, content);
  for (const std::size_t i : {1U, 2U, 3U}) shell(fmt::format("unzip -tqq x.zip '{}'", content.name(i)), dir);
  shell(R"(python3 -c '
import zipfile
z = zipfile.ZipFile("x.zip")
for i in z.infolist()[1:]: assert z.read(i) == bytes(i.file_size)
')",
        dir);
}
#endif

TEST_CASE("archives of 65,534, 65,535 and 65,536 entries are read by everybody") {
  const std::size_t count = GENERATE(65'534U, 65'535U, 65'536U);
  const TempDir dir("zip64");
  std::vector<MemoryEntry> entries(count);
  for (std::size_t i = 0; i < count; ++i) entries[i].name = std::to_string(i);
  entries[count / 2].data = "in the middle";
  MemoryContent content(std::move(entries));
  const std::string archive = write_archive_bytes(content, {Level::fast});
  const bool zip64 = count >= 65'535;
  CHECK((archive.find("PK\6\6") != std::string::npos) == zip64);
  CHECK(verify_bytes(archive).entries == count);
  zipmodule::test::write_file(dir / "x.zip", archive);
  shell("unzip -tqq x.zip", dir);
  shell(test::seven_zip_program() + " t -bd x.zip", dir);
  shell("bsdtar -tf x.zip > list && test $(wc -l < list) = " + std::to_string(count), dir);
  shell("zipinfo -1 x.zip > list && test $(wc -l < list) = " + std::to_string(count), dir);
  CHECK(shell(R"(python3 -c 'import zipfile; print(len(zipfile.ZipFile("x.zip").infolist()))')", dir) ==
        std::to_string(count) + "\n");
}

TEST_CASE("small entries that sum past 4 GiB need zip64 for the last of them only") {
  // By their records alone: sixty-five of 64 MiB.
  std::uint64_t offset = 0;
  for (int i = 0; i < 65; ++i) {
    EntryView entry;
    entry.name = "n";
    entry.size_bytes = 64U << 20U;
    entry.mtime = k_mtime;
    const Written written{offset, entry.size_bytes, 0, Method::stored};
    CHECK(needs_zip64(entry, written) == (offset >= k_4g - 1));
    offset += local_header_size(entry) + entry.size_bytes;
  }
}

}  // namespace
}  // namespace zipmodule::zip
