#include "zip/end_record.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "zip/forged_archive.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using Catch::Matchers::Contains;

std::string two_entries() { return put_together({Forged("a", "content of a"), Forged("b", "content of b")}); }

std::string with_comment(std::string archive, const std::string& comment, std::size_t said) {
  return archive.replace(archive.size() - 2, 2, le(said, 2)) + comment;
}

// A good archive, which a plain reader refuses for `finding`: it is verified as undamaged, with that one finding of `kind`.
void check_unusual(const std::string& archive, const std::string& finding, std::size_t entries = 2,
                   FindingKind kind = FindingKind::unusual) {
  const auto report = verify_bytes(archive);
  CAPTURE(finding, problems_of(report));
  CHECK_FALSE(report.damaged());
  CHECK_FALSE(report.fingerprint.empty());
  CHECK(report.entries == entries);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == kind);
  CHECK_THAT(report.findings.front().text, Contains(finding));
  const MemoryFile file(archive);
  if (locate_end(file.archive()).findings.empty()) return;
  try {
    read_end_record(file.archive());
    FAIL("taken for a plain archive");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::corrupt);
  }
}

TEST_CASE("bytes behind an archive are named, and what is in it is read") {
  check_unusual(two_entries() + "x", "1 other bytes stand behind");
  check_unusual(two_entries() + std::string(10'000, '\0'), "10000 zero bytes stand behind");
  check_unusual(two_entries() + std::string(65'000, 'x'), "65000 other bytes stand behind");
  check_unusual(with_comment(two_entries(), "hello", 5) + "x", "1 other bytes stand behind");
  check_unusual(two_entries() + "PK\5\6 is not an end record, for no list of entries stands before it", "stand behind");
  CHECK_THAT(problems_of(verify_bytes(two_entries() + std::string(200'000, 'x'))), Contains("no end of central"));
}

TEST_CASE("a program before an archive is named, whether offsets count it or not") {
  const std::string stub = "#!/bin/sh\nunpack myself\n";
  check_unusual(stub + two_entries(), fmt::format("{} bytes stand before the archive", stub.size()));
  const Forged a("a", "content");
  const std::string local = stub + a.local();
  const std::string central = a.central(stub.size());
  check_unusual(local + central + end_record(1, central.size(), local.size()),
                fmt::format("{} bytes stand before the first entry", stub.size()), 1);
}

TEST_CASE("a program before a zip64 archive is named, whether the locator counts it or not") {
  const Forged a("a", "content");
  const std::string plain = end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
  const std::string whole = a.local() + a.central(0) + end_records64(1, a.central(0).size(), a.local().size()) + plain;
  check_unusual("stub" + whole, "4 bytes stand before the archive", 1);
  CHECK_FALSE(verify_bytes("stub" + whole + "x").damaged());
}

TEST_CASE("a comment that is cut is damage") {
  const auto report = verify_bytes(with_comment(two_entries(), "hel", 5));
  CHECK(report.damaged());
  CHECK_THAT(problems_of(report), Contains("comment is cut: 3 of 5 bytes"));
}

TEST_CASE("zip64's magic in a comment or a name is text") {
  const std::string magic = "PK\6\7" + std::string(16, 'x');
  REQUIRE(magic.size() == 20);
  Forged a("a", "content");
  a.comment = magic;
  check_unusual(put_together({a}), "look like a zip64 locator", 1);
  a.comment = "front " + magic + " back";
  CHECK(verify_bytes(put_together({a})).ok());
  CHECK(verify_bytes(with_comment(put_together({Forged("b", "content")}), magic, magic.size())).ok());
  // At the right place, but in a name: policy has more to say of it.
  const auto report = verify_bytes(put_together({Forged(magic, "content")}));
  CHECK_FALSE(report.damaged());
  CHECK_THAT(problems_of(report), Contains("look like a zip64 locator") && Contains("policy"));
}

TEST_CASE("a zip64 end record is read whether a plain field points at it or not") {
  std::vector<std::byte> ours;
  const Forged a("a", "content");
  append_end_records(1, a.local().size(), a.central(0).size(), true, ours);
  CHECK(verify_bytes(a.local() + a.central(0) + std::string(text_of(ours))).ok());
  const std::string none = end_record(1, a.central(0).size(), a.local().size());
  CHECK(verify_bytes(a.local() + a.central(0) + end_records64(1, a.central(0).size(), a.local().size()) + none).ok());
}

std::string with_disks(unsigned this_disk, unsigned central_disk, std::uint16_t entry_disk, unsigned here = 1) {
  Forged a("a", "content");
  a.disk = entry_disk;
  return a.local() + a.central(0) + "PK\5\6" + le(this_disk, 2) + le(central_disk, 2) + le(here, 2) + le(1, 2) +
         le(a.central(0).size(), 4) + le(a.local().size(), 4) + le(0, 2);
}

TEST_CASE("disk numbers that are not 0 do no harm where all lies in this file") {
  check_unusual(with_disks(1, 1, 1), "part 2 of a split archive", 1);
  check_unusual(with_disks(0, 0, 3), "1 records name another part", 1);
  check_unusual(with_disks(0, 1, 0), "part 1 of a split archive", 1);
  check_unusual(with_disks(0, 0, 0, 0), "0 of its 1 entries", 1);
  const auto both = verify_bytes(with_disks(2, 2, 0));
  CHECK_FALSE(both.damaged());
  CHECK(both.unread == 0);
}

TEST_CASE("a part of a split archive without its list of entries is unsupported, not damaged") {
  const std::string last = "PK\5\6" + le(2, 2) + le(1, 2) + le(0, 2) + le(9, 2) + le(900, 4) + le(70, 4) + le(0, 2);
  for (const std::string& part : {std::string(2'000, 'x') + last, "PK\7\10" + Forged("a", "content").local()}) {
    const auto report = verify_bytes(part);
    INFO(problems_of(report));
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == FindingKind::unsupported);
    CHECK_THAT(report.findings.front().text, Contains("split archive"));
  }
}

}  // namespace
}  // namespace zipmodule::zip
