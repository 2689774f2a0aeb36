// Writes the seeds of the targets reader and decoder: archives as others write them and as nobody should, and streams of
// all codecs. `make_seeds <corpus>` makes <corpus>/reader and <corpus>/decoder.
#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "zip/forged_archive.hpp"
#include "zip/handmade_stream.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::end_record;
using zip::end_records64;
using zip::Forged;
using zip::le;
using zip::put_together;

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) { std::filesystem::create_directories(path_); }
  void add(const char* name, std::string_view bytes) const {
    std::ofstream file(path_ / name, std::ios::binary);
    file << bytes;
    if (!file.flush()) throw std::runtime_error("write " + (path_ / name).string());
  }

 private:
  std::filesystem::path path_;
};

std::string by_zlib(std::string_view data, int level, int strategy, std::size_t flush_each = 0) {
  z_stream z{};
  if (deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, strategy) != Z_OK) throw std::runtime_error("deflateInit2");
  std::string out(data.size() * 2 + 1000, '\0');
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  if (flush_each > 0) {
    for (std::size_t at = 0; at < data.size(); at += flush_each) {
      z.avail_in = static_cast<uInt>(std::min(data.size() - at, flush_each));
      deflate(&z, Z_SYNC_FLUSH);
    }
  }
  if (flush_each == 0) z.avail_in = static_cast<uInt>(data.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string by_libdeflate(std::string_view data, int level) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(level), libdeflate_free_compressor);
  std::string out(data.size() * 2 + 1000, '\0');
  out.resize(libdeflate_deflate_compress(compressor.get(), data.data(), data.size(), out.data(), out.size()));
  return out;
}

const std::string k_text =
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it "
    "was "
    "the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness.\n";
// One of the lines from which libdeflate before 1.19 makes a block without distance codes.
const std::string k_sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  hello.tar.gz\n";

void make_streams(const Folder& folder) {
  folder.add("stored", by_zlib(k_text, 0, Z_DEFAULT_STRATEGY));
  folder.add("fixed", by_zlib(k_text, 9, Z_FIXED));
  folder.add("dynamic", by_zlib(k_text + k_text, 9, Z_DEFAULT_STRATEGY));
  folder.add("huffman-only", by_zlib(k_text, 9, Z_HUFFMAN_ONLY));
  folder.add("runs", by_zlib(std::string(3000, 'a') + k_sum, 9, Z_RLE));
  folder.add("flushed", by_zlib(k_text, 6, Z_DEFAULT_STRATEGY, 50));
  folder.add("empty", by_zlib("", 6, Z_DEFAULT_STRATEGY));
  folder.add("sum-by-libdeflate", by_libdeflate(k_sum, 6));
  folder.add("text-by-libdeflate", by_libdeflate(k_text + k_text, 10));
  folder.add("far", by_zlib(k_text + std::string(32'000, '.') + k_text, 9, Z_DEFAULT_STRATEGY));
  std::vector<unsigned> distances(30);
  distances[0] = distances[29] = 1;
  folder.add("all-distances", zip::text_of(zip::block_with_distances(distances)));
  folder.add("one-distance", zip::text_of(zip::block_with_distances({1})));
  folder.add("no-distance", zip::text_of(zip::block_with_distances({0})));
  distances.resize(32);
  folder.add("found-room-for-32-distances", zip::text_of(zip::block_with_distances(distances)));
  folder.add("found-incomplete-precode", zip::text_of(zip::block_with_distances({1, 1}, 3)));
  folder.add("cut", by_zlib(k_text, 9, Z_DEFAULT_STRATEGY).substr(0, 60));
}

Forged deflated(const char* name, const std::string& content) {
  Forged entry(name, content);
  entry.data = by_zlib(content, 6, Z_DEFAULT_STRATEGY);
  entry.compressed = entry.data.size();
  entry.method = 8;
  return entry;
}

Forged with_descriptor(Forged entry, bool signature, unsigned size_bytes) {
  entry.flags |= zip::k_flag_descriptor;
  entry.descriptor =
      (signature ? "PK\7\10" : "") + le(entry.crc, 4) + le(entry.compressed, size_bytes) + le(entry.size, size_bytes);
  return entry;
}

template <class Change>
std::string changed(Forged entry, Change change) {
  change(entry);
  return put_together({std::move(entry)});
}

void make_ours(const Folder& folder) {
  std::vector<zip::MemoryEntry> tree{{"d/", "", zip::k_mtime, true, false},
                                     {"d/text", k_text},
                                     {"d/late", "x", std::int64_t{5'000'000'000} * 1'000'000'000},
                                     {"d/\u00e9", "", zip::k_mtime, false, true}};
  folder.add("ours", zip::write_archive_bytes(tree));
  folder.add("ours-stored", zip::write_archive_bytes(tree, {zip::Level::store}));
  zip::WriteSettings settings;
  settings.allow_empty = true;
  folder.add("ours-empty", zip::write_archive_bytes(std::vector<zip::MemoryEntry>{}, settings));
}

void make_foreign(const Folder& folder) {
  const Forged a("a", "content of a");
  const Forged b = deflated("b", k_text);
  const std::string whole = put_together({a, b});
  folder.add("two", whole);
  folder.add("comment", whole.substr(0, whole.size() - 2) + le(9, 2) + "a comment");
  for (const bool signature : {false, true}) {
    for (const unsigned size_bytes : {4U, 8U}) {
      const std::string name =
          std::string("descriptor") + (signature ? "-signed" : "") + (size_bytes == 8 ? "-64" : "");
      folder.add(name.c_str(), put_together({with_descriptor(b, signature, size_bytes)}));
    }
  }
  const std::string local = a.local();
  const std::string central = a.central(0);
  folder.add("zip64", local + central + end_records64(1, central.size(), local.size()) +
                          end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF));
  // The fields' own values stand in the extra field of both headers.
  Forged sized = a;
  sized.size = sized.compressed = 0xFFFFFFFF;
  sized.local_extra = le(1, 2) + le(16, 2) + le(a.size, 8) + le(a.compressed, 8);
  sized.central_extra = sized.local_extra;
  folder.add("zip64-sizes", put_together({sized}));
  Forged timed = a;
  timed.central_extra = le(0x000a, 2) + le(32, 2) + le(0, 4) + le(1, 2) + le(24, 2) + le(1U << 30U, 8) + le(0, 8) +
                        le(0, 8) + le(0x5455, 2) + le(5, 2) + le(1, 1) + le(1'600'000'000, 4);
  folder.add("times", put_together({timed}));
}

void make_unusual(const Folder& folder) {
  const Forged a("a", "content of a");
  const Forged b = deflated("b", k_text);
  const std::string whole = put_together({a, b});
  folder.add("zeros-behind", whole + std::string(100, '\0'));
  folder.add("cut-comment", whole.substr(0, whole.size() - 2) + le(9, 2) + "a com");
  folder.add("magic-in-comment", changed(a, [](Forged& e) { e.comment = "PK\6\7" + std::string(16, 'x'); }));
  folder.add("cp437", put_together({Forged("caf\x82", "x")}));
  folder.add("unicode-name", changed(Forged("caf\x82", "x"), [](Forged& e) {
               e.comment = "dr\x81";
               e.central_extra =
                   zip::unicode_field(0x7075, e.name, "caf\u00e9") + zip::unicode_field(0x6375, e.comment, "dr\u00fc");
             }));
  folder.add("dos", changed(a, [](Forged& e) { e.version_made = 0x0014; }));
  folder.add("symlink", changed(a, [](Forged& e) { e.external_attributes = 0120777U << 16U; }));
  for (const std::uint16_t disk : {1, 2}) {
    Forged part = a;
    part.disk = disk;
    std::string split = put_together({part, b});
    split.replace(split.size() - 18, 4, le(2, 2) + le(2, 2));
    folder.add(disk == 2 ? "last-part" : "split", split);
  }
  folder.add("first-part", "PK\7\10" + a.local() + b.local());
  const std::string zip64 = a.local() + a.central(0) + end_records64(1, a.central(0).size(), a.local().size()) +
                            end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
  folder.add("zip64-stub", "stub" + zip64);
}

void make_hostile(const Folder& folder) {
  const Forged a("a", "content of a");
  const Forged b = deflated("b", k_text);
  const std::string whole = put_together({a, b});
  folder.add("truncated", whole.substr(0, whole.size() - 30));
  folder.add("no-front", whole.substr(20));
  folder.add("garbage-before", "MZ garbage" + whole);
  folder.add("garbage-behind", whole + "behind");
  folder.add("encrypted", changed(a, [](Forged& e) { e.flags |= zip::k_flag_encrypted; }));
  folder.add("method", changed(a, [](Forged& e) { e.method = 12; }));
  folder.add("crc", changed(b, [](Forged& e) { e.crc ^= 1; }));
  folder.add("size", changed(b, [](Forged& e) { e.size -= 1; }));
  folder.add("huge", changed(b, [](Forged& e) { e.size = 0xFFFFFFFE; }));
  folder.add("broken-stream", changed(b, [](Forged& e) { e.data[0] = '\x07'; }));
  folder.add("upwards", put_together({Forged("../up", "x")}));
  folder.add("absolute", put_together({Forged("/etc/passwd", "x")}));
  folder.add("backslash", put_together({Forged("..\\up", "x")}));
  folder.add("not-utf8", put_together({Forged("\xff\xfe", "x")}));
  folder.add("no-name", put_together({Forged("", "x")}));
  folder.add("same-name", put_together({a, a}));
  folder.add("short-extra", changed(a, [](Forged& e) { e.central_extra = le(1, 2) + le(16, 2) + le(0, 8); }));
  const std::string local = b.local();
  const std::string twice = b.central(0) + b.central(0);
  folder.add("overlap", local + twice + end_record(2, twice.size(), local.size()));
  folder.add("fewer", local + twice + end_record(1, twice.size(), local.size()));
  folder.add("more", local + twice + end_record(3, twice.size(), local.size()));
  folder.add("far-offset", local + b.central(0xFFFFFFFE) + end_record(1, b.central(0).size(), local.size()));
  folder.add("far-directory", local + b.central(0) + end_record(1, b.central(0).size(), 0xFFFFFFFE));
  folder.add("far-locator", local + "PK\6\7" + le(0, 4) + le(~std::uint64_t{0}, 8) + le(1, 4) + end_record(0, 0, 0));
}

}  // namespace
}  // namespace zipmodule::fuzz

int main(int count, char** arguments) try {
  if (count != 2) throw std::runtime_error("usage: make_seeds <corpus>");
  using namespace zipmodule::fuzz;
  const std::filesystem::path corpus = arguments[1];
  make_streams(Folder(corpus / "decoder"));
  const Folder reader(corpus / "reader");
  make_ours(reader);
  make_foreign(reader);
  make_unusual(reader);
  make_hostile(reader);
} catch (const std::exception& problem) {
  std::fprintf(stderr, "%s\n", problem.what());
  return 1;
}
