// Our own decoder on any bytes, against zlib and against a walk by the letter of RFC 1951: what it calls good must be good.
#include <fmt/format.h>
#include <zlib.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "finding.hpp"
#include "zip/deflate_stream.hpp"
#include "zip/deflate_walk.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::bytes_of;
using zip::text_of;

// Twice the farthest distance. A kilobyte can hold a megabyte; more of it teaches nothing.
constexpr std::size_t k_decoded_most = std::size_t{64} << 10U;

struct Inflated {
  std::string data;
  bool whole = false;  // ends with the stream's last byte
};

Inflated by_zlib(std::span<const std::byte> stream) {
  Inflated result{std::string(k_decoded_most, '\0')};
  z_stream z{};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) finding("zlib: out of memory");
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stream.data()));
  z.avail_in = static_cast<uInt>(stream.size());
  z.next_out = reinterpret_cast<Bytef*>(result.data.data());
  z.avail_out = static_cast<uInt>(result.data.size());
  result.whole = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0;
  result.data.resize(z.total_out);
  inflateEnd(&z);
  return result;
}

void check_joining(std::span<const std::byte> stream, const Inflated& inflated, const zip::DeflateFindings& findings) {
  std::vector<std::byte> joined(stream.begin(), stream.end());
  zip::open_for_joining(joined, 0, findings);
  require(joined.size() <= stream.size() + 5, "opening a stream added more than five bytes");
  zip::append_stored_blocks(bytes_of("behind"), true, joined);
  require(zip::inflate_raw(text_of(joined)) == inflated.data + "behind", "an opened stream can't be followed");
}

}  // namespace
}  // namespace zipmodule::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace zipmodule::fuzz;
  const auto stream = std::as_bytes(std::span(bytes, size));
  const Inflated inflated = by_zlib(stream);
  const auto findings = zipmodule::zip::inspect_deflate(stream, bytes_of(inflated.data));
  const auto walk = zipmodule::zip::walk_deflate(stream);
  if (inflated.data.size() == k_decoded_most && !inflated.whole) return 0;
  const bool good = findings.decodes && findings.portable_codes;
  if (inflated.whole) require(findings.decodes, "refused what zlib decodes");
  if (good) require(inflated.whole, "decoded what zlib refuses");
  if (good != (walk.problem.empty() && inflated.whole))
    finding(fmt::format("called {} where a walk says '{}'", good ? "good" : "bad", walk.problem));
  if (good) require(walk.decoded_bytes == inflated.data.size(), "zlib and the walk decode to different sizes");
  if (good) check_joining(stream, inflated, findings);
  // Other bytes than the stream's: room for a copy that zlib refused, a byte more, another byte, a byte less.
  const auto more = zipmodule::zip::inspect_deflate(stream, bytes_of(inflated.data + std::string(300, 'x')));
  require(!more.decodes || !more.portable_codes, "decodes to more bytes");
  std::string other = inflated.data + 'x';
  require(!zipmodule::zip::inspect_deflate(stream, bytes_of(other)).decodes, "decodes to a byte more");
  other.pop_back();
  if (other.empty()) return 0;
  other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
  require(!zipmodule::zip::inspect_deflate(stream, bytes_of(other)).decodes, "decodes to another byte");
  other.pop_back();
  require(!zipmodule::zip::inspect_deflate(stream, bytes_of(other)).decodes, "decodes to a byte less");
  return 0;
}
