// Archives as nobody should write them, and as others do: put together byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zip/crc.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {

inline std::string le(std::uint64_t value, unsigned bytes) {
  std::string text;
  for (unsigned i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// One entry; what it does not say otherwise is as it should be.
struct Forged {
  explicit Forged(std::string entry_name, std::string content = {})
      : name(std::move(entry_name)),
        data(std::move(content)),
        crc(crc32(0, bytes_of(data))),
        size(data.size()),
        compressed(data.size()) {}

  std::string name;
  std::string data;        // as it lies in the file
  std::string descriptor;  // behind it
  std::uint32_t crc;
  std::uint64_t size;
  std::uint64_t compressed;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::string local_extra;
  std::string central_extra;
  std::uint32_t external_attributes = 0x81A40000;
  std::uint16_t version_made = 0x033F;
  std::string comment;
  std::uint16_t disk = 0;

  std::string local() const {
    const bool later = (flags & k_flag_descriptor) != 0;
    return "PK\3\4" + le(20, 2) + le(flags, 2) + le(method, 2) + le(0x5A216354, 4) + le(later ? 0 : crc, 4) +
           le(later ? 0 : compressed, 4) + le(later ? 0 : size, 4) + le(name.size(), 2) + le(local_extra.size(), 2) +
           name + local_extra + data + descriptor;
  }
  std::string central(std::uint64_t offset) const {
    return "PK\1\2" + le(version_made, 2) + le(20, 2) + le(flags, 2) + le(method, 2) + le(0x5A216354, 4) + le(crc, 4) +
           le(compressed, 4) + le(size, 4) + le(name.size(), 2) + le(central_extra.size(), 2) + le(comment.size(), 2) +
           le(disk, 2) + le(0, 2) + le(external_attributes, 4) + le(offset, 4) + name + central_extra + comment;
  }
};

inline std::string end_record(std::uint64_t entries, std::uint64_t central_bytes, std::uint64_t central_offset) {
  return "PK\5\6" + le(0, 4) + le(entries, 2) + le(entries, 2) + le(central_bytes, 4) + le(central_offset, 4) +
         le(0, 2);
}

// Info-ZIP's Unicode field: 0x7075 for the name that the record holds as `plain`, 0x6375 for its comment.
inline std::string unicode_field(std::uint16_t id, const std::string& plain, const std::string& text) {
  return le(id, 2) + le(5 + text.size(), 2) + "\1" + le(crc32(0, bytes_of(plain)), 4) + text;
}

// The end of a zip64 archive; the locator points at what it is itself put behind.
inline std::string end_records64(std::uint64_t entries, std::uint64_t central_bytes, std::uint64_t central_offset) {
  return "PK\6\6" + le(44, 8) + le(0x033F, 2) + le(45, 2) + le(0, 8) + le(entries, 8) + le(entries, 8) +
         le(central_bytes, 8) + le(central_offset, 8) + "PK\6\7" + le(0, 4) + le(central_offset + central_bytes, 8) +
         le(1, 4);
}

inline std::string put_together(const std::vector<Forged>& entries) {
  std::string archive;
  std::string central;
  for (const auto& entry : entries) {
    central += entry.central(archive.size());
    archive += entry.local();
  }
  return archive + central + end_record(entries.size(), central.size(), archive.size());
}

}  // namespace zipmodule::zip
