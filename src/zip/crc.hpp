// CRC-32 as zip uses it (APPNOTE 4.4.7; ISO 3309, reflected 0x04C11DB7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace zipmodule::zip {

// Continues `crc` (0 to begin) over `data`.
std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> data) noexcept;

// The CRC of two blocks one after the other, from theirs.
std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) noexcept;

}  // namespace zipmodule::zip
