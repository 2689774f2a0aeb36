#include "zip/entry_data.hpp"

#include <zlib.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/forged_archive.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using zipmodule::test::random_bytes;
using zipmodule::test::wordy_text;

constexpr std::size_t k_mib = std::size_t{1} << 20U;

std::string problem_of(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data) {
  try {
    verify_data(file, record, data, {});
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

// Verified from the last part to the first, as threads might.
std::string problem_of_parts(const ArchiveFile& file, const CentralRecord& record, std::uint64_t data) {
  PartedEntry entry(file, record, data);
  std::string problem;
  for (std::size_t part = entry.parts(); part-- > 0;) {
    try {
      entry.verify(part, {});
    } catch (const Error& error) {
      problem = error.what();
    }
  }
  return problem;
}

// What both say of the archive's only entry, which must be the same.
std::string problem_of_both(const std::string& archive) {
  const MemoryFile memory(archive);
  const ArchiveFile file = memory.archive();
  const auto record = records_of(file).at(0);
  const auto data = read_local_header(file, record);
  REQUIRE(PartedEntry::is_worth_it(record));
  const std::string problem = problem_of(file, record, data);
  CHECK(problem_of_parts(file, record, data) == problem);
  CHECK(verify_bytes(archive).ok() == problem.empty());
  return problem;
}

enum class Flush { none = Z_NO_FLUSH, sync = Z_SYNC_FLUSH, full = Z_FULL_FLUSH };

// As pigz and others write it: the window reaches over the cuts of a sync flush, not over those of a full one.
std::string by_zlib(const std::string& data, Flush flush, std::size_t flush_each) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(data.size() + data.size() / 100 + 100'000, '\0');
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  for (std::size_t at = 0; at < data.size(); at += flush_each) {
    z.avail_in = static_cast<uInt>(std::min(data.size() - at, flush_each));
    deflate(&z, static_cast<int>(flush));
  }
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string archive_of_stream(const std::string& data, const std::string& stream) {
  Forged entry("large", data);
  entry.data = stream;
  entry.method = 8;
  entry.compressed = stream.size();
  return put_together({entry});
}

// Half of it shrinks to nearly nothing, so that parts differ in what they hold.
std::string uneven_text(std::size_t size) {
  std::string text;
  for (std::uint64_t i = 0; text.size() < size; ++i) {
    text += i % 2 == 0 ? wordy_text(700'000, i) : std::string(300'000, 'a');
    text += random_bytes(200'000, i);
  }
  text.resize(size);
  return text;
}

TEST_CASE("a large entry of ours is whole in parts, at every level") {
  const std::string data = uneven_text(10 * k_mib);
  for (const Level level : {Level::store, Level::fast, Level::balanced}) {
    CHECK(problem_of_both(write_archive_bytes({{"large", data}}, {.level = level})).empty());
  }
}

TEST_CASE("streams of others are judged in parts as in one piece") {
  const std::string data = uneven_text(12 * k_mib);
  for (const Flush flush : {Flush::none, Flush::sync, Flush::full}) {
    for (const std::size_t each : {std::size_t{60'000}, 3 * k_mib, data.size()}) {
      CHECK(problem_of_both(archive_of_stream(data, by_zlib(data, flush, each))).empty());
    }
  }
}

TEST_CASE("what looks like a cut in stored blocks is not taken for one") {
  std::string data = random_bytes(6 * k_mib, 1);
  for (std::size_t at = 1000; at < data.size(); at += 10'000) data.replace(at, 4, std::string("\0\0\xFF\xFF", 4));
  const std::string stream = by_zlib(data, Flush::none, data.size());
  REQUIRE(stream.size() > data.size());
  CHECK(problem_of_both(archive_of_stream(data, stream)).empty());
}

TEST_CASE("cuts at every place around the borders of parts and buffers are found") {
  // Stored blocks of zlib's would hide them: each piece is a stored block of its own, with an empty one behind.
  for (const std::size_t border : {k_mib, k_mib + 65'536, 2 * k_mib}) {
    for (std::size_t cut = border - 6; cut <= border + 6; ++cut) {
      std::string stream;
      std::string data;
      const auto block = [&](std::size_t size, bool final) {
        stream += le(final ? 1 : 0, 1) + le(size, 2) + le(~size & 0xFFFFU, 2);
        const std::string bytes = random_bytes(size, stream.size());
        stream += bytes;
        data += bytes;
      };
      while (cut - stream.size() > 65'000) block(60'000, false);
      block(cut - stream.size() - 10, false);
      block(0, false);
      REQUIRE(stream.size() == cut);
      while (stream.size() < 3 * k_mib) block(60'000, false);
      block(5, true);
      CHECK(problem_of_both(archive_of_stream(data, stream)).empty());
    }
  }
}

TEST_CASE("a damaged large entry has the same problem in parts as in one piece") {
  const std::string data = uneven_text(12 * k_mib);
  for (const Level level : {Level::store, Level::balanced}) {
    const std::string archive = write_archive_bytes({{"large", data}}, {.level = level});
    for (std::size_t i = 0; i < 12; ++i) {
      std::string damaged = archive;
      damaged[1000 + i * (damaged.size() - 2000) / 12] ^= static_cast<char>(1U << (i % 8));
      const MemoryFile memory(damaged);
      if (records_of(memory.archive()).size() != 1) continue;
      CHECK_FALSE(problem_of_both(damaged).empty());
    }
  }
}

TEST_CASE("parts that are put in another order are not whole") {
  const std::string data = uneven_text(12 * k_mib);
  std::string stream = by_zlib(data, Flush::full, 2 * k_mib);
  const std::string cut("\0\0\xFF\xFF", 4);
  const std::size_t one = stream.find(cut) + 4;
  const std::size_t two = stream.find(cut, one) + 4;
  REQUIRE(two < stream.size());
  stream = stream.substr(one, two - one) + stream.substr(0, one) + stream.substr(two);
  CHECK_FALSE(problem_of_both(archive_of_stream(data, stream)).empty());
}

TEST_CASE("a stream that ends in the middle, and goes on, is not whole") {
  const std::string data = uneven_text(12 * k_mib);
  const std::string stream = by_zlib(data, Flush::full, 2 * k_mib);
  const std::string half = by_zlib(data.substr(0, 6 * k_mib), Flush::full, 2 * k_mib);
  CHECK_FALSE(problem_of_both(archive_of_stream(data, half + stream)).empty());
  CHECK_FALSE(problem_of_both(archive_of_stream(data, stream + half)).empty());
}

TEST_CASE("a large entry is not read on after a stop, nor from a file that became shorter") {
  const MemoryFile memory(write_archive_bytes({{"large", random_bytes(4 * k_mib, 1)}}));
  const ArchiveFile file = memory.archive();
  const auto record = records_of(file).at(0);
  const auto data = read_local_header(file, record);
  std::stop_source stop;
  stop.request_stop();
  PartedEntry stopped(file, record, data);
  CHECK_THROWS_AS(stopped.verify(1, stop.get_token()), Error);
  memory.resize(2 * k_mib);
  PartedEntry shorter(file, record, data);
  for (std::size_t part = 0; part < shorter.parts(); ++part) {
    if (part < 1)
      CHECK_NOTHROW(shorter.verify(part, {}));
    else if (part > 1)
      CHECK_THROWS_AS(shorter.verify(part, {}), Error);
  }
}

}  // namespace
}  // namespace zipmodule::zip
