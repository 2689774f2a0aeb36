// Where an archive ends and its list of entries lies, also in files that hold more than an archive.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "zip/finding.hpp"
#include "zip/reader.hpp"

namespace zipmodule::zip {

struct ArchiveEnd {
  std::optional<EndRecord> end;   // where the list of entries can be read
  std::string comment;            // its bytes
  std::vector<Finding> findings;  // none where the file is a plain archive from its first byte to its last
};

// Finds the end record as unzip and Python do: the last one whose comment ends with the file; where there is none, the
// last one that a list of entries stands before, with up to 64 KiB of other bytes behind it. A zip64 locator counts
// only right before it (APPNOTE 4.3.14 to 4.3.16). Throws Error{io}, and Error{corrupt} where the file becomes shorter
// meanwhile.
ArchiveEnd locate_end(const ArchiveFile& file);

}  // namespace zipmodule::zip
