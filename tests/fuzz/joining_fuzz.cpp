// Any data, cut into chunks anywhere, compressed and joined: zlib must inflate it to the same bytes, and Windows must be
// able to read every block.
#include <fmt/format.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>
#include <vector>

#include "content.hpp"
#include "finding.hpp"
#include "zip/codec.hpp"
#include "zip/deflate_walk.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::bytes_of;
using zip::Level;
using zip::text_of;

// Two of libdeflate's blocks and several of zlib's.
constexpr std::size_t k_data_most = 400'000;

constexpr Level k_levels[] = {Level::store, Level::fast, Level::balanced, Level::small};

void check_stream(std::span<const std::byte> stream, const std::string& data) {
  if (zip::inflate_raw(text_of(stream)) != data) finding("zlib does not inflate the stream to its data");
  const auto walk = zip::walk_deflate(stream);
  if (!walk.problem.empty()) finding(walk.problem);
  require(walk.decoded_bytes == data.size(), "the stream decodes to another size");
}

void check_joined(FuzzedDataProvider& input, Level level, const std::string& data) {
  const bool equal_chunks = input.ConsumeBool();
  const std::size_t least = equal_chunks ? 1 + data.size() / 64 : 1;
  std::size_t chunk = input.ConsumeIntegralInRange<std::size_t>(least, std::max(least, data.size()));
  const std::size_t before = input.ConsumeIntegralInRange<std::size_t>(0, 3);
  std::vector<std::byte> joined(before, std::byte{0xA5});
  std::size_t most = before;
  std::size_t at = 0;
  do {
    const auto part = std::string_view(data).substr(at, chunk);
    at += part.size();
    zip::deflate_chunk(bytes_of(part), level, at == data.size(), joined);
    most += part.size() + 5 * (1 + part.size() / 65'535);
    require(joined.size() <= most, "a chunk takes more than stored blocks would");
    if (!equal_chunks) chunk = input.ConsumeIntegralInRange<std::size_t>(1 + data.size() / 64, 1 + data.size());
  } while (at < data.size());
  require(std::all_of(joined.begin(), joined.begin() + static_cast<std::ptrdiff_t>(before),
                      [](std::byte b) { return b == std::byte{0xA5}; }),
          "what stood before the stream was changed");
  check_stream(std::span(joined).subspan(before), data);
}

void check_entry(Level level, const std::string& data) {
  std::vector<std::byte> out{std::byte{0xA5}};
  if (!zip::deflate_entry(bytes_of(data), level, out)) {
    require(out == std::vector{std::byte{0xA5}}, "an entry that is to be stored left bytes behind");
    return;
  }
  require(out.front() == std::byte{0xA5}, "what stood before the stream was changed");
  require(out.size() - 1 < data.size(), "a deflated entry did not shrink");
  check_stream(std::span(out).subspan(1), data);
}

}  // namespace
}  // namespace zipmodule::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace zipmodule::fuzz;
  FuzzedDataProvider input(bytes, size);
  const auto level = input.PickValueInArray(k_levels);
  const bool entry = input.ConsumeBool();
  const auto chunks = input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(0, 64));
  const std::string data = make_content(input, k_data_most);
  if (entry) {
    check_entry(level, data);
  } else {
    FuzzedDataProvider cuts(chunks.data(), chunks.size());
    check_joined(cuts, level, data);
  }
  return 0;
}
