#include "zip/codec.hpp"

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "base/freer.hpp"
#include "zip/deflate_stream.hpp"

namespace zipmodule::zip {
namespace {

using Compressor = std::unique_ptr<libdeflate_compressor, Freer<libdeflate_free_compressor>>;

// libdeflate's level for each of ours. 6 gives the size of `zip -6` within half a percent at 1.8 times its speed a thread,
// check included. 5 is a fifth faster, but 1.0 to 2.5 % larger than zip on text that repeats itself much. 10 is the first
// of its near-optimal parsers.
constexpr int libdeflate_level(Level level) noexcept {
  switch (level) {
    case Level::store:
    case Level::fast:
      return 1;
    case Level::balanced:
      return 6;
    case Level::small:
      return 10;
  }
  return 6;
}

// Kept per thread: allocating one costs as much as compressing a few kilobytes.
libdeflate_compressor* compressor_for(int level) {
  thread_local std::array<Compressor, 13> compressors;
  auto& slot = compressors.at(static_cast<std::size_t>(level));
  if (!slot) slot.reset(libdeflate_alloc_compressor(level));
  if (!slot) throw Error(ErrorKind::internal, "libdeflate: out of memory");
  return slot.get();
}

// Memory of one thread for one stream. Bytes that nobody has written are not made zero: that took as long as reading them.
class Scratch {
 public:
  std::span<std::byte> take(std::size_t size) {
    if (size > size_) {
      data_ = std::make_unique_for_overwrite<std::byte[]>(size);
      size_ = size;
    }
    return {data_.get(), size};
  }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

// Each codec writes data's stream to the front of `out` and returns its size; 0 where it does not fit.
std::size_t by_libdeflate(std::span<const std::byte> data, int level, std::span<std::byte> out) {
  return libdeflate_deflate_compress(compressor_for(level), data.data(), data.size(), out.data(), out.size());
}

// zlib always writes two distance codes.
std::size_t by_zlib(std::span<const std::byte> data, int level, std::span<std::byte> out) {
  z_stream stream{};
  if (deflateInit2(&stream, std::min(level, 9), Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw Error(ErrorKind::internal, "zlib: out of memory");
  }
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(data.data()));  // zlib's API lacks the const
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  const std::size_t size = whole ? stream.total_out : 0;
  deflateEnd(&stream);
  return size;
}

struct CheckedStream {
  std::span<std::byte> bytes;  // of this thread's scratch
  DeflateFindings findings;
};

// A checked stream shorter than `limit`; nullopt where there is none.
std::optional<CheckedStream> checked_deflate(std::span<const std::byte> data, Level level, std::size_t limit) {
  thread_local Scratch scratch;
  if (data.size() < 2 || limit < 2) return std::nullopt;
  const auto out = scratch.take(limit - 1);
  const int number = libdeflate_level(level);
  CheckedStream stream;
  const auto holds = [&](std::size_t size) {
    stream.bytes = out.first(size);
    stream.findings = inspect_deflate(stream.bytes, data);
    return stream.findings.decodes && stream.findings.portable_codes;
  };
  std::size_t size = by_libdeflate(data, number, out);
  if (size == 0) return std::nullopt;
  if (holds(size)) return stream;
  size = by_zlib(data, number, out);
  if (size == 0) return std::nullopt;
  if (holds(size)) return stream;
  throw Error(ErrorKind::verify, "compressed data does not decode to what was compressed",
              "check this host's memory; the archive was not published");
}

// Below this everything is simply compressed: a trial would cost as much.
constexpr std::size_t k_trial_from = std::size_t{64} << 10U;
constexpr std::size_t k_sample_bytes = std::size_t{16} << 10U;
// Samples that shrink by less than this are media or archives: deflate would take the time of text for nothing.
constexpr double k_worth_it = 0.985;

bool chunk_worth_deflating(std::span<const std::byte> data, Level level) {
  return worth_deflating(data.size(), level, [&](std::uint64_t offset, std::span<std::byte> buffer) {
    std::memcpy(buffer.data(), data.data() + offset, buffer.size());
  });
}

}  // namespace

bool worth_deflating(std::uint64_t size_bytes, Level level, const SampleSource& sample) {
  if (level == Level::store || size_bytes == 0) return false;
  if (size_bytes < k_trial_from) return true;
  // Head, tail and evenly between: containers often begin with text and go on with media, or the other way round.
  const std::uint64_t samples = size_bytes <= k_chunk_bytes ? 3 : 8;
  std::array<std::byte, k_sample_bytes> buffer;
  std::array<std::byte, k_sample_bytes - 1> scratch;
  std::size_t total_saved = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    sample((size_bytes - k_sample_bytes) * i / (samples - 1), buffer);
    if (const auto size = by_libdeflate(buffer, 1, scratch); size > 0) total_saved += k_sample_bytes - size;
  }
  return static_cast<double>(total_saved) > (1.0 - k_worth_it) * static_cast<double>(samples * k_sample_bytes);
}

bool deflate_entry(std::span<const std::byte> data, Level level, std::vector<std::byte>& out) {
  if (!chunk_worth_deflating(data, level)) return false;
  const auto stream = checked_deflate(data, level, data.size());
  if (!stream) return false;
  out.insert(out.end(), stream->bytes.begin(), stream->bytes.end());
  return true;
}

void deflate_chunk(std::span<const std::byte> data, Level level, bool final, std::vector<std::byte>& out) {
  if (chunk_worth_deflating(data, level)) {
    if (const auto stream = checked_deflate(data, level, data.size() - std::min(data.size(), k_join_bytes))) {
      const std::size_t begin = out.size();
      out.reserve(begin + stream->bytes.size() + k_join_bytes);
      out.insert(out.end(), stream->bytes.begin(), stream->bytes.end());
      if (!final) open_for_joining(out, begin, stream->findings);
      return;
    }
  }
  append_stored_blocks(data, final, out);
}

}  // namespace zipmodule::zip
