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
  std::vector<std::string> not_installed;  // optional judges that were not asked

  bool good() const noexcept { return complaints.empty(); }
  std::string text() const;
};

// Asks unzip, 7-Zip, bsdtar, zipinfo, zipdetails and Python's zipfile, which must be there (scripts/setup). Then those of
// Go's archive/zip, Node's yauzl, unzipper and zip.js (strict), ruby-zip, Archive::Zip, PHP's ZipArchive, Java's ZipFile,
// ZipInputStream and `jar xf`, and unar that are there; a line on stderr names them, once per program run. With
// ZIPMODULE_JUDGES=all in the environment all must be there (scripts/setup --judges).
//
// Each must find `archive` whole and, where `expected` is not empty, read from it exactly the names, bytes, times and modes
// below that directory. Times that the zip format can't hold exactly for all of them (before 1980, past 2038) are not
// compared.
Verdict judge(const std::filesystem::path& archive, const std::filesystem::path& expected,
              const JudgeOptions& options = {});

// 7-Zip's program: 7zz in Debian 12, 7z where there is no 7zz.
std::string seven_zip_program();

}  // namespace zipmodule::test
