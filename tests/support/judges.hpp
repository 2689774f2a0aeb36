// What other programs think of an archive.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace zipmodule::test {

struct JudgeOptions {
  bool times = true;    // compare modification times, to the second
  bool modes = true;    // compare permissions
  bool unpack = true;   // unpack with each, and compare; false for archives too large for that
  bool details = true;  // zipdetails, which takes long for very many entries
};

struct Verdict {
  std::vector<std::string> complaints;     // "<judge>: <what it says>"
  std::vector<std::string> not_installed;  // optional judges that were not asked; also printed once per program run

  bool good() const noexcept { return complaints.empty(); }
  std::string text() const;
};

// Asks unzip, 7zz, bsdtar, zipinfo, zipdetails and Python's zipfile, which must be there (scripts/setup), and Java's
// ZipFile and ZipInputStream and Node's yauzl where they are. Each must find `archive` whole and, where `expected` is not
// empty, unpack it to exactly the names, bytes, times and modes below that directory. Times that the zip format can't hold
// exactly for all of them (before 1980, past 2038) are not compared.
Verdict judge(const std::filesystem::path& archive, const std::filesystem::path& expected,
              const JudgeOptions& options = {});

}  // namespace zipmodule::test
