// Readers of other languages, as judges/README.md describes them: what there is of them, and whether what they report of an
// archive is what was packed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/process.hpp"

namespace zipmodule::test {

// A program of tests/support/judges.
struct PeerReader {
  std::string name;
  std::vector<std::string> readers;  // as its lines name them
  std::vector<std::string> argv;     // without the archive
  std::vector<std::string> probe;    // ends with 0 where it is installed
  bool takes_dos_times_for_local = false;
};

// All but Python's and Java's, which the judge starts by itself.
const std::vector<PeerReader>& optional_peers();
PeerReader python_peer();
PeerReader java_peer();

// A command for a reader: in UTF-8, with Node's modules. The zone is far from UTC, so that only a reader of exact times is
// right; a peer that takes DOS times for local ones is in UTC.
Command reader_command(std::vector<std::string> argv, const std::filesystem::path& where = {});
Command reader_command(const PeerReader& peer, const std::filesystem::path& archive);

// Whether the probe succeeds; asked once per program run.
bool installed(const PeerReader& peer);

// What was packed: all below a folder, with digests.
class Packed {
 public:
  explicit Packed(const std::filesystem::path& folder);
  struct File {
    std::uint64_t size_bytes = 0;
    std::string sha256;
    std::int64_t mtime = 0;
    unsigned mode = 0;  // 0755 where its owner may execute it, else 0644
  };
  const std::map<std::string, File>& files() const noexcept { return files_; }
  bool has_folder(const std::string& name) const;  // name ends in '/'

 private:
  const std::filesystem::path folder_;
  std::map<std::string, File> files_;
};

// What of the reader's output is wrong, a sentence each; at most a dozen. `packed` may be null: then only whether the
// reader came to its end.
std::vector<std::string> discrepancies(const PeerReader& peer, const std::string& output, const Packed* packed,
                                       bool times, bool modes);

}  // namespace zipmodule::test
