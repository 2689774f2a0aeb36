#include "zip/reader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "zip/end_record.hpp"
#include "zip/entry_data.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using zipmodule::test::Command;
using zipmodule::test::random_bytes;
using zipmodule::test::TempDir;
using zipmodule::test::wordy_text;

// Other people's ways to write an archive of the folder `tree`; each must leave it in x.zip.
struct Writer {
  std::string what;
  std::string script;  // of a shell, run beside the folder
};

const std::string k_python = R"(python3 -c '
import os, sys, zipfile
class Pipe:                      # can not seek, as a socket
    def write(self, data): return sys.stdout.buffer.write(data)
    def flush(self): sys.stdout.buffer.flush()
with zipfile.ZipFile(Pipe() if PIPE else "../x.zip", "w", METHOD) as z:
    for folder, folders, files in os.walk("."):
        for name in sorted(folders) + sorted(files):
            z.write(os.path.join(folder, name))
')";

std::string python(bool pipe, const std::string& method) {
  std::string script = k_python;
  script.replace(script.find("PIPE"), 4, pipe ? "True" : "False");
  script.replace(script.find("METHOD"), 6, method);
  return "cd tree && " + script + (pipe ? " > ../x.zip" : "");
}

std::vector<Writer> writers() {
  return {
      {"zip", "cd tree && zip -qr ../x.zip ."},
      {"zip, stored", "cd tree && zip -qr0 ../x.zip ."},
      {"zip to a pipe", "cd tree && zip -qr - . | cat > ../x.zip"},
      {"zip from and to a pipe", "cat tree/folder/text.txt | zip -q - - | cat > x.zip"},
      {"zip with forced zip64", "cd tree && zip -qr -fz ../x.zip ."},
      {"zip with a comment", "cd tree && echo a comment | zip -qrz ../x.zip ."},
      {"bsdtar", "cd tree && bsdtar -c --format zip -f ../x.zip ."},
      {"bsdtar to a pipe", "cd tree && bsdtar -c --format zip -f - . > ../x.zip"},
      {"7zz", "cd tree && " + test::seven_zip_program() + " a -bd -tzip ../x.zip . > /dev/null"},
      {"python", python(false, "zipfile.ZIP_DEFLATED")},
      {"python to a pipe", python(true, "zipfile.ZIP_DEFLATED")},
      {"python to a pipe, stored", python(true, "zipfile.ZIP_STORED")},
      {"java", "cd tree && jar -cfM ../x.zip ."},
  };
}

void make_tree(const TempDir& dir) {
  zipmodule::test::write_file(dir / "tree/folder/text.txt", wordy_text(100'000));
  zipmodule::test::write_file(dir / "tree/folder/noise", random_bytes(50'000));
  zipmodule::test::write_file(dir / "tree/empty", "");
  zipmodule::test::write_file(dir / "tree/short", "x");
  zipmodule::test::write_file(dir / "tree/sp ace.txt", wordy_text(300));
}

// bsdtar writes "./" and "./name" [libarchive#2489], names that are not for an archive of ours, and to a pipe it fills its
// last block with zeros. Nothing of it is damage.
bool is_as_bsdtar_writes(const VerifyReport& report) {
  return std::all_of(report.findings.begin(), report.findings.end(), [](const Finding& finding) {
    return (finding.kind == FindingKind::policy && finding.text.find("has a component '.'") != std::string::npos) ||
           (finding.kind == FindingKind::unusual && finding.text.find("zero bytes stand behind") != std::string::npos);
  });
}

// As inspect lists them: also of an archive with bytes around it.
std::vector<CentralRecord> all_records_of(const ArchiveFile& file) {
  std::vector<CentralRecord> records;
  CentralDirectory directory(file, locate_end(file).end.value());
  while (auto record = directory.next()) records.push_back(std::move(*record));
  return records;
}

TEST_CASE("archives of other writers are read, pipes and descriptors included") {
  for (const auto& writer : writers()) {
    INFO(writer.what);
    const TempDir dir("foreign");
    make_tree(dir);
    if (writer.what == "java" && !zipmodule::test::installed("jar")) continue;
    Command command;
    command.argv = {"sh", "-ec", writer.script};
    command.where = dir.path();
    command.environment = {{"LC_ALL", "C.UTF-8"}};
    const auto result = run(command);
    INFO(result.text());
    REQUIRE(result.exit_code == 0);
    const std::string bytes = zipmodule::test::read_file(dir / "x.zip");
    const auto report = verify_bytes(bytes);
    INFO(problems_of(report));
    CHECK(is_as_bsdtar_writes(report));
    CHECK_FALSE(report.damaged());
    if (writer.what != "bsdtar" && writer.what != "bsdtar to a pipe") CHECK(report.ok());
    CHECK_FALSE(report.fingerprint.empty());

    const MemoryFile file(bytes);
    std::map<std::string, std::string> found;
    for (const auto& record : all_records_of(file.archive())) {
      std::string name = record.name.substr(record.name.starts_with("./") ? 2 : 0);
      if (!record.directory()) found[name] = data_of(file.archive(), record);
    }
    if (writer.what == "zip from and to a pipe") {
      CHECK(found["-"] == wordy_text(100'000));
      continue;
    }
    CHECK(found.size() == 5);
    CHECK(found["folder/text.txt"] == wordy_text(100'000));
    CHECK(found["folder/noise"] == random_bytes(50'000));
    CHECK(found["empty"].empty());
    CHECK(found["short"] == "x");
  }
}

TEST_CASE("an encrypted archive is told as one, and not decoded") {
  const TempDir dir("encrypted");
  make_tree(dir);
  Command command;
  command.argv = {"sh", "-ec", "cd tree && zip -qr -P secret ../x.zip folder"};
  command.where = dir.path();
  REQUIRE(run(command).exit_code == 0);
  const auto report = verify_bytes(zipmodule::test::read_file(dir / "x.zip"));
  REQUIRE(report.findings.size() == 2);
  for (const auto& finding : report.findings) {
    CHECK(finding.kind == FindingKind::unsupported);
    CHECK_THAT(finding.text, Catch::Matchers::Contains("is encrypted"));
  }
  CHECK(report.unread == 2);
}

TEST_CASE("methods that we don't decode are told by name, and are no damage") {
  const TempDir dir("methods");
  make_tree(dir);
  for (const std::string method : {"bzip2", "LZMA", "Deflate64", "PPMd"}) {
    Command command;
    command.argv = {"sh", "-ec",
                    "rm -f x.zip && cd tree && " + test::seven_zip_program() + " a -bd -tzip -mm=" + method +
                        " ../x.zip folder/text.txt > /dev/null"};
    command.where = dir.path();
    REQUIRE(run(command).exit_code == 0);
    const auto report = verify_bytes(zipmodule::test::read_file(dir / "x.zip"));
    INFO(problems_of(report));
    CHECK_FALSE(report.damaged());
    CHECK(report.unread == 1);
    CHECK_THAT(problems_of(report),
               Catch::Matchers::Contains("is compressed by " + (method == "Deflate64" ? "deflate64" : method)));
  }
}

TEST_CASE("the last part of a split archive says which entries are in others, the first that it is one") {
  const TempDir dir("split");
  make_tree(dir);
  Command command;
  command.argv = {"sh", "-ec", "cd tree && zip -q -s 64k -0 ../x.zip folder/text.txt folder/noise empty short"};
  command.where = dir.path();
  REQUIRE(run(command).exit_code == 0);
  const auto last = verify_bytes(zipmodule::test::read_file(dir / "x.zip"));
  INFO(problems_of(last));
  CHECK_FALSE(last.damaged());
  CHECK(last.unread > 0);
  CHECK(last.unread < last.entries);
  CHECK_THAT(problems_of(last), Catch::Matchers::Contains("lies in part 1 of the split archive"));
  const auto first = verify_bytes(zipmodule::test::read_file(dir / "x.z01"));
  REQUIRE(first.findings.size() == 1);
  CHECK(first.findings.front().kind == FindingKind::unsupported);
  CHECK_THAT(first.findings.front().text, Catch::Matchers::Contains("is a part of a split archive"));
}

TEST_CASE("what is no archive but a folder, a pipe or a device is an error") {
  const TempDir dir("odd");
  for (const auto& path : {dir.path(), std::filesystem::path("/dev/null"), std::filesystem::path("/dev/zero")}) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(fd);
    CHECK_THROWS_AS(read_end_record(open_archive(fd.get(), path)), Error);
    ThreadPool pool(1);
    try {
      const auto report = verify_archive(open_archive(fd.get(), path), pool, {});
      CHECK_FALSE(report.ok());
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::io);
    }
  }
  CHECK_THROWS_AS(open_archive(-1, "nothing"), Error);
}

TEST_CASE("an archive of more records than a buffer holds is read to its end") {
  std::vector<MemoryEntry> entries;
  for (int i = 0; i < 60; ++i) entries.push_back({std::string(60'000, 'n') + std::to_string(100 + i), "x"});
  const MemoryFile file(write_archive_bytes(entries));
  const auto records = records_of(file.archive());
  REQUIRE(records.size() == 60);
  for (std::size_t i = 0; i < records.size(); ++i) CHECK((records[i].name == entries[i].name));
}

TEST_CASE("an archive that becomes shorter while it is read is an error") {
  const MemoryFile file(write_archive_bytes({{"a", random_bytes(500'000)}}));
  const ArchiveFile archive = file.archive();
  const auto record = records_of(archive).at(0);
  const auto data = read_local_header(archive, record);
  file.resize(100'000);
  try {
    verify_data(archive, record, data, {});
    FAIL("not found");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace zipmodule::zip
