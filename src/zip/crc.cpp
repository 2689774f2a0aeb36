#include "zip/crc.hpp"

#include <libdeflate.h>
#include <zlib.h>

namespace zipmodule::zip {

std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> data) noexcept {
  return libdeflate_crc32(crc, data.data(), data.size());
}

std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) noexcept {
  return static_cast<std::uint32_t>(::crc32_combine64(first, second, static_cast<z_off64_t>(second_bytes)));
}

}  // namespace zipmodule::zip
