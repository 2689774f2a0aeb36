// Windows Explorer refuses archives with a dynamic block of fewer than two distance codes. Every block of every level, over
// the text of this machine and over what is known to bring it about, by a parser that has nothing of the engine's.
#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/codec.hpp"
#include "zip/deflate_stream.hpp"
#include "zip/deflate_walk.hpp"
#include "zip/explorer_inputs.hpp"
#include "zip/forged_archive.hpp"
#include "zip/handmade_stream.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t k_text_bytes_most = 30'000'000;

struct Blocks {
  std::uint64_t deflated_entries = 0;
  std::uint64_t dynamic = 0;
  std::uint64_t of_two_codes = 0;  // entries that keep the rule by the least
  std::vector<std::string> problems;
};

Blocks blocks_of(const ArchiveFile& file) {
  Blocks blocks;
  for (const auto& record : records_of(file)) {
    if (record.method != static_cast<std::uint16_t>(Method::deflated)) continue;
    std::vector<std::byte> stream(record.compressed_bytes);
    REQUIRE(pread_full(file.fd, stream, read_local_header(file, record)) == static_cast<ssize_t>(stream.size()));
    const auto walk = walk_deflate(stream);
    ++blocks.deflated_entries;
    blocks.dynamic += walk.dynamic_blocks;
    if (walk.fewest_distance_codes == 2) ++blocks.of_two_codes;
    if (!walk.problem.empty())
      blocks.problems.push_back(fmt::format("{}: {}", record.name, walk.problem));
    else if (walk.decoded_bytes != record.size_bytes)
      blocks.problems.push_back(fmt::format("{}: {} bytes", record.name, walk.decoded_bytes));
  }
  return blocks;
}

// Documents, headers and scripts, in an order that depends on their names alone.
std::vector<fs::path> text_files() {
  std::vector<fs::path> files;
  for (const char* root : {"/usr/share/doc", "/usr/include", "/usr/share/perl", "/usr/lib/python3", "/etc"}) {
    std::error_code ignored;
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator i(root, options, ignored), end; i != end; i.increment(ignored)) {
      const bool compressed = i->path().extension() == ".gz" || i->path().extension() == ".png";
      if (i->is_regular_file(ignored) && !i->is_symlink(ignored) && !compressed) files.push_back(i->path());
    }
  }
  std::sort(files.begin(), files.end());
  std::shuffle(files.begin(), files.end(), std::mt19937_64(1));
  return files;
}

// The machine's text, as far as it goes.
void add_text(std::vector<MemoryEntry>& entries) {
  std::uint64_t total = 0;
  std::string joined;
  for (const auto& path : text_files()) {
    std::error_code gone;
    const auto size = fs::file_size(path, gone);
    if (gone || size > k_chunk_bytes || total + size > k_text_bytes_most) continue;
    std::string text;
    try {
      text = zipmodule::test::read_file(path);
    } catch (const std::exception&) {
      continue;  // not ours to read
    }
    total += text.size();
    if (joined.size() < 3 * k_chunk_bytes) joined += text;
    entries.push_back({path.relative_path().string(), std::move(text)});
  }
  entries.push_back({"joined", std::move(joined)});
}

std::vector<MemoryEntry> corpus() {
  std::vector<MemoryEntry> entries;
  add_text(entries);
  for (const auto& data : explorer_inputs()) entries.push_back({fmt::format("trigger/{}", entries.size()), data});
  for (const auto& line : sha256sum_lines(300)) entries.push_back({fmt::format("sum/{}", entries.size()), line});
  std::mt19937_64 random(11);
  for (std::size_t size = 10; size < 3 * k_chunk_bytes; size += 1 + size / 8) {
    entries.push_back({fmt::format("words/{}", size), zipmodule::test::wordy_text(size, size)});
    entries.push_back({fmt::format("skewed/{}", size), skewed_bytes(random, std::min<std::size_t>(size, 100'000), 90)});
  }
  return entries;
}

TEST_CASE("every dynamic block of every level has two distance codes or more, over all kinds of text") {
  MemoryContent content(corpus());
  for (const Level level : {Level::fast, Level::balanced, Level::small}) {
    const MemoryFile file;
    WriteSettings settings;
    settings.level = level;
    write_to(file.fd(), content, content, settings);
    const Blocks blocks = blocks_of(file.archive());
    INFO(to_string(level) << ": " << blocks.dynamic << " dynamic blocks in " << blocks.deflated_entries << " entries");
    CHECK(blocks.problems == std::vector<std::string>{});
    // The rule is kept neither by storing everything nor by leaving dynamic codes alone, and the walk saw its edge.
    CHECK(blocks.deflated_entries > 300);
    CHECK(blocks.dynamic > 500);
    CHECK(blocks.of_two_codes > 0);
  }
}

TEST_CASE("what libdeflate writes unchecked breaks the rule, where the walk and the engine's check see it alike") {
  constexpr bool k_has_the_bug = LIBDEFLATE_VERSION_MAJOR == 1 && LIBDEFLATE_VERSION_MINOR < 19;
  for (const int level : {1, 6, 10}) {
    const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
        libdeflate_alloc_compressor(level), libdeflate_free_compressor);
    std::size_t broken = 0;
    for (const auto& data : explorer_inputs()) {
      std::vector<std::byte> out(libdeflate_deflate_compress_bound(compressor.get(), data.size()));
      out.resize(libdeflate_deflate_compress(compressor.get(), data.data(), data.size(), out.data(), out.size()));
      const auto findings = inspect_deflate(out, bytes_of(data));
      const bool by_walk = !walk_deflate(out).problem.empty();
      CHECK(findings.decodes);
      CHECK(by_walk == !findings.portable_codes);
      broken += by_walk ? 1 : 0;
    }
    INFO("level " << level);
    CHECK((broken > 0) == k_has_the_bug);
  }
}

TEST_CASE("an archive that breaks Explorer's rule is seen by the walk over its blocks") {
  const auto archive_with = [](const std::vector<unsigned>& distances) {
    Forged entry("a", "a");
    entry.data = text_of(block_with_distances(distances));
    entry.compressed = entry.data.size();
    entry.method = 8;
    return MemoryFile(put_together({Forged("before", "x"), entry}));
  };
  for (const auto& distances : {std::vector<unsigned>{0}, std::vector<unsigned>{1}}) {
    const MemoryFile file = archive_with(distances);
    CHECK(verify_bytes(file.content()).ok());  // zlib reads it
    CHECK(blocks_of(file.archive()).problems.size() == 1);
  }
  const MemoryFile good = archive_with({1, 1});
  CHECK(blocks_of(good.archive()).problems.empty());
  CHECK(blocks_of(good.archive()).dynamic == 1);
}

}  // namespace
}  // namespace zipmodule::zip
