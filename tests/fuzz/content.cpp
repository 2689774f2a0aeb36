#include "content.hpp"

#include <algorithm>
#include <random>

namespace zipmodule::fuzz {
namespace {

void append_copy(FuzzedDataProvider& input, std::size_t length, std::string& out) {
  if (out.empty()) return;
  const std::size_t distance = input.ConsumeIntegralInRange<std::size_t>(1, std::min<std::size_t>(out.size(), 40'000));
  for (std::size_t i = 0; i < length; ++i) out += out[out.size() - distance];
}

void append_noise(FuzzedDataProvider& input, std::size_t length, unsigned values, std::string& out) {
  std::minstd_rand random(input.ConsumeIntegral<std::uint32_t>());
  for (std::size_t i = 0; i < length; ++i) {
    const auto a = random() >> 8U;
    const auto b = random() >> 8U;
    out += static_cast<char>(values == 256 ? a : '!' + std::min(a % values, b % values));
  }
}

}  // namespace

std::string make_content(FuzzedDataProvider& input, std::size_t most) {
  std::string out;
  while (out.size() < most && input.remaining_bytes() > 0) {
    const std::size_t room = most - out.size();
    // Short pieces by far more often than long ones: an octave is chosen, then a length in it.
    const auto octave = input.ConsumeIntegralInRange<unsigned>(0, 17);
    const std::size_t length = std::min(room, input.ConsumeIntegralInRange<std::size_t>(1, std::size_t{1} << octave));
    switch (input.ConsumeIntegralInRange<int>(0, 5)) {
      case 0:
        out += input.ConsumeBytesAsString(length);
        break;
      case 1:
        out.append(length, input.ConsumeIntegral<char>());
        break;
      case 2:
        append_copy(input, length, out);
        break;
      case 3:
        append_noise(input, length, 256, out);
        break;
      case 4:
        append_noise(input, length, input.ConsumeIntegralInRange<unsigned>(2, 200), out);
        break;
      default:
        return out;
    }
  }
  return out;
}

}  // namespace zipmodule::fuzz
