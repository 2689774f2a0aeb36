// libarchive's two zip readers as judges: the one that seeks goes by the central directory, the one that streams by the
// local headers alone.
#pragma once

#include <string_view>
#include <vector>

#include "zip/memory_archive.hpp"

namespace zipmodule::fuzz {

// Ends the process with a finding where either of them sees other entries, or other bytes in them, than `expected`.
void judge_by_libarchive(std::string_view archive, const std::vector<zip::MemoryEntry>& expected);

}  // namespace zipmodule::fuzz
