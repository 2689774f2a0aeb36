#include "zip/verify.hpp"

#include <fmt/format.h>

#include <future>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/forged_archive.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using Catch::Matchers::Contains;
using zipmodule::test::wordy_text;

constexpr TimeNs k_second = 1'000'000'000;

std::vector<MemoryEntry> small_entries() {
  return {{"d/", "", k_mtime, true, false},
          {"d/stored", "\x01\x02\x03"},
          {"d/deflated.txt", wordy_text(200)},
          {"d/\u00e9.txt", "late", 5'000'000'000 * k_second},
          {"d/empty", "", k_mtime, false, true}};
}

// The names and bytes of an archive, as far as our reader gives them away.
std::vector<std::pair<std::string, std::string>> content_of(const std::string& archive) {
  const MemoryFile file(archive);
  std::vector<std::pair<std::string, std::string>> content;
  for (const auto& record : records_of(file.archive()))
    content.emplace_back(record.name, data_of(file.archive(), record));
  return content;
}

TEST_CASE("an archive cut at any byte is damaged") {
  const std::string whole = write_archive_bytes(small_entries());
  REQUIRE(verify_bytes(whole).ok());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (!verify_bytes(whole.substr(0, length)).damaged()) FAIL("cut at " << length);
  }
}

TEST_CASE("an archive with bytes cut from its front is damaged") {
  const std::string whole = write_archive_bytes(small_entries());
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    if (!verify_bytes(whole.substr(cut)).damaged()) FAIL("cut " << cut);
  }
}

TEST_CASE("an archive with any bit flipped has a problem, or the same names and bytes") {
  const std::string whole = write_archive_bytes(small_entries());
  const auto content = content_of(whole);
  std::size_t unseen = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto report = verify_bytes(flipped);
    if (!report.ok()) continue;
    ++unseen;
    if (content_of(flipped) != content) FAIL("bit " << bit << " changes what is in the archive, unseen");
  }
  // Versions, times, attributes and disk numbers are all that may change unseen.
  CHECK(unseen < whole.size() * 8 / 3);
}

TEST_CASE("a zip64 archive with any bit flipped has a problem, or the same names and bytes") {
  const Forged entry("name", "some data");
  const std::string central = entry.central(0);
  const std::string local = entry.local();
  const std::string whole =
      local + central + end_records64(1, central.size(), local.size()) + end_record(1, central.size(), local.size());
  REQUIRE(problems_of(verify_bytes(whole)).empty());
  const auto content = content_of(whole);
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    if (verify_bytes(flipped).ok() && content_of(flipped) != content) FAIL("bit " << bit);
  }
}

TEST_CASE("random bytes with the signatures of an archive harm nobody") {
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    std::string archive = zipmodule::test::random_bytes(120 + seed % 50, seed);
    archive.replace(0, 4, "PK\3\4");
    archive.replace(archive.size() - 90, 4, "PK\1\2");
    archive += end_record(1 + seed % 2, 90, archive.size() - 90);
    if (verify_bytes(archive).ok()) FAIL("seed " << seed);
  }
}

struct Hostile {
  std::string what;
  std::string archive;
  std::string problem;
};

std::vector<Hostile> hostile_archives() {
  std::vector<Hostile> all;
  const auto add = [&](const char* what, std::string archive, const char* problem) {
    all.push_back({what, std::move(archive), problem});
  };
  const Forged a("a", "content of a");
  const Forged b("b", "content of b");
  const auto with = [](Forged entry, auto change) {
    change(entry);
    return put_together({entry});
  };
  add("no bytes", "", "too short");
  add("no archive", std::string(1000, 'x'), "no end of central directory");
  add("encrypted", with(a, [](Forged& e) { e.flags |= k_flag_encrypted; }), "encrypted");
  add("unknown method", with(a, [](Forged& e) { e.method = 77; }), "method 77");
  add("wrong CRC", with(a, [](Forged& e) { e.crc ^= 1; }), "CRC");
  add("a stored entry of another size", with(a, [](Forged& e) { e.size += 1; }), "bytes instead of");
  add("a deflated entry that is none", with(a, [](Forged& e) { e.method = 8; }), "broken deflate data");
  add("a size that runs out of the file", with(a, [](Forged& e) { e.size = e.compressed = 0xFFFFFFF0; }),
      "outside the archive");
  add("a size that runs into the central directory",
      with(a, [](Forged& e) { e.size = e.compressed = e.data.size() + 1; }), "");
  add("0xFFFFFFFF without a zip64 field", with(a, [](Forged& e) { e.size = 0xFFFFFFFF; }), "broken");
  add("a zip64 field that is too short",
      with(a,
           [](Forged& e) {
             e.size = 0xFFFFFFFF;
             e.central_extra = le(1, 2) + le(4, 2) + le(9, 4);
           }),
      "broken");
  add("a zip64 size of all ones",
      with(a,
           [](Forged& e) {
             e.size = e.compressed = 0xFFFFFFFF;
             e.central_extra = e.local_extra =
                 le(1, 2) + le(16, 2) + le(~std::uint64_t{0}, 8) + le(~std::uint64_t{0}, 8);
           }),
      "outside the archive");
  add("a huge size for few bytes",
      with(a,
           [](Forged& e) {
             e.size = 0xFFFFFFFF;
             e.central_extra = e.local_extra = le(1, 2) + le(16, 2) + le(std::uint64_t{1} << 62U, 8) + le(12, 8);
           }),
      "");
  add("an extra field longer than its record",
      with(a, [](Forged& e) { e.central_extra = le(0x5455, 2) + le(500, 2) + "xx"; }), "broken");
  add("a deflate stream with bytes behind it",
      with(a,
           [](Forged& e) {
             e.method = 8;
             e.data = std::string("\x01\x0c\x00\xf3\xff", 5) + e.data + "behind";
             e.compressed = e.data.size();
           }),
      "broken deflate data");
  const std::string bad_names[] = {"../up",   "/etc/passwd", "a\\b", "C:x", std::string("a\0b", 3),
                                   "caf\xe9", "a//b",        ""};
  for (const auto& name : bad_names) add("a bad name", put_together({Forged(name, "x")}), "entry '");

  std::string archive = a.local();
  std::string central = a.central(0) + a.central(0);
  add("two records of one local header", archive + central + end_record(2, central.size(), archive.size()), "overlap");

  // The second entry lies in the first one's data.
  const Forged outer("outer", "head " + b.local() + " tail");
  archive = outer.local();
  central = outer.central(0) + b.central(archive.find("PK\3\4", 4));
  add("an entry within another", archive + central + end_record(2, central.size(), archive.size()), "overlap");

  // 40 bytes of data, the last four of which are the central directory's signature.
  Forged into("into", std::string(36, 'x') + "PK\1\2");
  archive = into.local().substr(0, into.local().size() - 4);
  central = into.central(0);
  add("an entry that ends in the central directory", archive + central + end_record(1, central.size(), archive.size()),
      "overlap");

  archive = a.local() + b.local();
  central = a.central(0) + b.central(a.local().size());
  const auto ending = [&](std::uint64_t entries, std::uint64_t bytes, std::uint64_t offset) {
    return archive + central + end_record(entries, bytes, offset);
  };
  add("fewer records than promised", ending(3, central.size(), archive.size()), "room");
  add("more records than promised", ending(1, central.size(), archive.size()), "more than the 1 entries");
  add("no records promised", ending(0, central.size(), archive.size()), "more than the 0 entries");
  add("more records than there is room for", ending(60'000, central.size(), archive.size()), "room");
  add("a central directory that is longer", ending(2, central.size() + 1, archive.size()), "does not lie");
  add("a central directory that is shorter", ending(2, central.size() - 1, archive.size()), "does not lie");
  add("a central directory that begins elsewhere", ending(2, central.size(), archive.size() + 1), "does not lie");
  add("a central directory past the end", ending(2, central.size(), 0xFFFFFFFE), "does not lie");
  add("records swapped for local headers", archive + archive + end_record(1, archive.size(), archive.size()), "broken");
  add("offsets that point at nothing", a.local() + a.central(3) + end_record(1, a.central(3).size(), a.local().size()),
      "local header");
  Forged other = a;
  other.name = "z";
  add("local header and record of different names",
      a.local() + other.central(0) + end_record(1, other.central(0).size(), a.local().size()), "differ in name");
  other = a;
  other.flags = k_flag_utf8;
  add("of different flags", a.local() + other.central(0) + end_record(1, other.central(0).size(), a.local().size()),
      "flags");
  other = a;
  other.method = 8;
  add("of different methods", a.local() + other.central(0) + end_record(1, other.central(0).size(), a.local().size()),
      "method");
  other = a;
  other.crc ^= 1;
  add("of different CRCs", other.local() + a.central(0) + end_record(1, a.central(0).size(), a.local().size()), "CRC");

  const auto zip64 = [&](std::string end64, std::string end) {
    return archive + central + std::move(end64) + std::move(end);
  };
  const std::string end64 = end_records64(2, central.size(), archive.size());
  const std::string end_saying_zip64 = end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
  std::string far = end64;
  far.replace(56 + 8, 8, le(~std::uint64_t{0}, 8));
  add("a locator that points past the file", zip64(far, end_saying_zip64), "locator");
  far.replace(56 + 8, 8, le(archive.size() + central.size() + 1, 8));
  add("a locator that points beside its record", zip64(far, end_saying_zip64), "locator");
  far.replace(56 + 8, 8, le(0, 8));
  add("a locator that points at an entry", zip64(far, end_saying_zip64), "locator");
  add("zip64 figures that are all ones",
      zip64(end_records64(~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}), end_saying_zip64), "");
  add("a zip64 count for which there is no room",
      zip64(end_records64(1U << 30U, central.size(), archive.size()), end_saying_zip64), "room");
  add("an end record that says zip64 where there is none", zip64("", end_saying_zip64), "");
  // Who reads only the plain record would see one entry, who reads zip64 two.
  add("end records that contradict each other", zip64(end64, end_record(1, a.central(0).size(), archive.size())),
      "contradict");
  return all;
}

TEST_CASE("hostile archives are told by what is wrong with them") {
  for (const auto& hostile : hostile_archives()) {
    INFO(hostile.what);
    const auto report = verify_bytes(hostile.archive);
    INFO(problems_of(report));
    CHECK_FALSE(report.ok());
    CHECK_THAT(problems_of(report), Contains(hostile.problem));
  }
}

TEST_CASE("what is only odd, unread or against our rules is told from damage") {
  struct Odd {
    Forged entry;
    FindingKind kind;
    std::string text;
  };
  const auto with = [](Forged entry, auto change) {
    change(entry);
    return entry;
  };
  const std::vector<Odd> all{
      {Forged("caf\x82", "x"), FindingKind::unusual, "entry 'caf\u00e9' has a name that is not UTF-8"},
      {Forged("caf\u00e9", "x"), FindingKind::unusual, "without the flag"},
      {with(Forged("\xff", "x"), [](Forged& e) { e.flags = k_flag_utf8; }), FindingKind::unusual, "'\\xff'"},
      {Forged("./x", "x"), FindingKind::policy, "component '.'"},
      {Forged("a\\b", "x"), FindingKind::policy, "backslash"},
      {Forged("../up", "x"), FindingKind::policy, "component '..'"},
      {with(Forged("a", "x"), [](Forged& e) { e.method = 14; }), FindingKind::unsupported, "compressed by LZMA"},
      {with(Forged("a", "x"), [](Forged& e) { e.method = 93; }), FindingKind::unsupported, "compressed by zstd"},
      {with(Forged("a", "x"), [](Forged& e) { e.flags = k_flag_encrypted; }), FindingKind::unsupported, "encrypted"},
  };
  for (const auto& odd : all) {
    const auto report = verify_bytes(put_together({odd.entry, Forged("next", "content")}));
    CAPTURE(odd.text, problems_of(report));
    CHECK_FALSE(report.damaged());
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == odd.kind);
    CHECK_THAT(report.findings.front().text, Contains(odd.text));
    CHECK(report.unread == (odd.kind == FindingKind::unsupported ? 1 : 0));
  }
}

TEST_CASE("damage is found beside what is only odd, and reported first") {
  Forged broken("b", "content");
  broken.crc ^= 1;
  const auto report = verify_bytes("stub" + put_together({Forged("caf\x82", "x"), Forged("../up", "x"), broken}));
  REQUIRE(report.findings.size() == 4);
  CHECK(report.damaged());
  CHECK_THAT(report.findings.front().text, Contains("entry 'b' has CRC"));
}

TEST_CASE("a name in a Unicode field has to be harmless, too") {
  Forged a("a", "x");
  a.central_extra = unicode_field(0x7075, "a", "../a");
  CHECK_THAT(problems_of(verify_bytes(put_together({a}))), Contains("component '..'"));
  Forged up("../a", "x");
  up.central_extra = unicode_field(0x7075, "../a", "a");
  CHECK_THAT(problems_of(verify_bytes(put_together({up}))), Contains("component '..'"));
}

TEST_CASE("a name that occurs twice is reported") {
  const auto report = verify_bytes(put_together({Forged("a", "one"), Forged("b", "x"), Forged("a", "two")}));
  CHECK_FALSE(report.damaged());
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == FindingKind::policy);
  CHECK_THAT(report.findings.front().text, Contains("entry 'a'") && Contains("more than once"));
}

TEST_CASE("a file that can't be read is not called damaged") {
  const MemoryFile file(write_archive_bytes(small_entries()));
  ArchiveFile archive = file.archive();
  archive.fd = -1;
  ThreadPool pool(2);
  try {
    verify_archive(archive, pool, {});
    FAIL("read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::io);
  }
}

TEST_CASE("an entry whose zip64 figures agree with the plain ones is read") {
  const Forged a("a", "content");
  const std::string end64 = end_records64(1, a.central(0).size(), a.local().size());
  for (const auto& end :
       {end_record(1, a.central(0).size(), a.local().size()), end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)}) {
    CHECK(problems_of(verify_bytes(a.local() + a.central(0) + end64 + end)).empty());
  }
}

TEST_CASE("a comment is read over, whatever it looks like") {
  const Forged a("a", "content");
  std::string whole = put_together({a});
  for (const std::string& comment : {std::string("hello"), std::string("PK\5\6 is in it"), std::string(65'535, 'c')}) {
    std::string with_comment = whole;
    with_comment.replace(whole.size() - 2, 2, le(comment.size(), 2));
    CHECK(problems_of(verify_bytes(with_comment + comment)).empty());
  }
}

TEST_CASE("data descriptors are read in all their forms") {
  const std::string data = "descriptor me";
  const auto crc = crc32(0, bytes_of(data));
  const bool signature = GENERATE(false, true);
  const unsigned width = GENERATE(4U, 8U);
  Forged a("a", data);
  a.flags = k_flag_descriptor;
  a.descriptor = (signature ? "PK\7\10" : "") + le(crc, 4) + le(data.size(), width) + le(data.size(), width);
  CHECK(problems_of(verify_bytes(put_together({a, Forged("b", "next")}))).empty());
  // Of no bytes, and last in the archive.
  Forged empty("empty");
  empty.flags = k_flag_descriptor;
  empty.descriptor = (signature ? "PK\7\10" : "") + le(0, 4) + le(0, width) + le(0, width);
  CHECK(problems_of(verify_bytes(put_together({a, empty}))).empty());
}

TEST_CASE("a descriptor without signature whose CRC looks like one is read") {
  const std::string data = "crcQ\x8d\x18\xa9";
  Forged a("a", data);
  REQUIRE(a.crc == k_descriptor_signature);
  a.flags = k_flag_descriptor;
  const std::string fields = le(a.crc, 4) + le(data.size(), 4) + le(data.size(), 4);
  for (const auto& descriptor : {fields, "PK\7\10" + fields}) {
    a.descriptor = descriptor;
    CHECK(problems_of(verify_bytes(put_together({a, Forged("b", "next")}))).empty());
  }
}

TEST_CASE("a descriptor that says something else is a problem") {
  const std::string data = "descriptor me";
  Forged a("a", data);
  a.flags = k_flag_descriptor;
  for (const auto& [crc, compressed, size] : {std::tuple{1U, 0U, 0U}, {0U, 1U, 0U}, {0U, 0U, 1U}}) {
    a.descriptor = "PK\7\10" + le(a.crc ^ crc, 4) + le(data.size() ^ compressed, 4) + le(data.size() ^ size, 4);
    CHECK_THAT(problems_of(verify_bytes(put_together({a}))), Contains("descriptor"));
  }
}

TEST_CASE("a report holds a hundred problems and says how many more there are") {
  std::vector<Forged> entries;
  for (int i = 0; i < 150; ++i) {
    entries.emplace_back(fmt::format("f{:03}", i), "x");
    entries.back().crc ^= 1;
  }
  const auto report = verify_bytes(put_together(entries));
  CHECK(report.entries == 150);
  CHECK(report.findings.size() == 100);
  CHECK(report.more_findings == 50);
}

TEST_CASE("a stop ends a check") {
  const MemoryFile file(write_archive_bytes(small_entries()));
  ThreadPool pool(2);
  std::stop_source stop;
  stop.request_stop();
  try {
    verify_archive(file.archive(), pool, stop.get_token());
    FAIL("not stopped");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::stopped);
  }
}

TEST_CASE("fingerprints are equal for equal archives, and other for any other") {
  std::set<std::string> seen{verify_bytes(write_archive_bytes(small_entries())).fingerprint};
  CHECK(seen.begin()->size() == 64);
  CHECK(seen.count(verify_bytes(write_archive_bytes(small_entries(), {Level::balanced, 5})).fingerprint) == 1);
  for (int change = 0; change < 4; ++change) {
    auto entries = small_entries();
    if (change == 0) entries[1].data[0] = 'x';
    if (change == 1) entries[1].name += "2";
    if (change == 2) entries[1].mtime += k_second;
    if (change == 3) std::swap(entries[1], entries[2]);
    CHECK(seen.insert(verify_bytes(write_archive_bytes(entries)).fingerprint).second);
  }
}

TEST_CASE("an archive that is not what was planned is not published") {
  struct Case {
    std::string what;
    std::function<void(std::vector<MemoryEntry>&)> change;
    std::string problem;
  };
  const std::vector<Case> cases{
      {"another name", [](auto& e) { e[1].name = "d/renamed"; }, "became"},
      {"another size", [](auto& e) { e[1].data += "x"; }, "bytes instead of"},
      {"another time", [](auto& e) { e[1].mtime += k_second; }, "time"},
      {"another late time", [](auto& e) { e[3].mtime -= k_second; }, "time"},
      {"another mode", [](auto& e) { e[1].executable = true; }, "mode"},
      {"another order", [](auto& e) { std::swap(e[1], e[2]); }, "became"},
      {"one more",
       [](auto& e) {
         e.push_back({"more", "x"});
       },
       "entries instead of"},
      {"one less", [](auto& e) { e.pop_back(); }, "entries instead of"},
  };
  const MemoryFile file(write_archive_bytes(small_entries()));
  for (const auto& test : cases) {
    INFO(test.what);
    auto entries = small_entries();
    test.change(entries);
    const MemoryContent plan(std::move(entries));
    try {
      verify_against_plan(file.archive(), plan);
      FAIL("not found");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::verify);
      CHECK_THAT(error.what(), Contains(test.problem));
    }
  }
}

TEST_CASE("gaps, overlaps and records past the plan's end are found before an archive is published") {
  const Forged a("a", "content");
  const Forged b("b", "content");
  MemoryContent plan({{"a", "content", from_dos_time(0x5A216354)}, {"b", "content", from_dos_time(0x5A216354)}});
  const auto check = [&](const std::string& between, const std::string& behind, unsigned records) {
    const std::string archive = a.local() + between + b.local() + behind;
    std::string central = a.central(0) + b.central(a.local().size() + between.size());
    for (unsigned i = 2; i < records; ++i) central += b.central(a.local().size());
    const MemoryFile file(archive + central + end_record(2, central.size(), archive.size()));
    return verify_against_plan(file.archive(), plan);
  };
  CHECK_FALSE(check("", "", 2).empty());
  CHECK_THROWS_AS(check("gap", "", 2), Error);
  CHECK_THROWS_AS(check("", "gap", 2), Error);
  CHECK_THROWS_AS(check("", "", 5), Error);
}

TEST_CASE("an archive with any bit flipped is not published, or differs in what the plan does not say") {
  MemoryContent plan(small_entries());
  const std::string whole = write_archive_bytes(plan);
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const MemoryFile file(flipped);
    try {
      verify_against_plan(file.archive(), plan);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::verify && error.kind() != ErrorKind::corrupt)
        FAIL("bit " << bit << ": " << error.what());
    }
  }
}

TEST_CASE("of many problems the same are reported at every run, with names cut short") {
  std::vector<Forged> entries;
  for (int i = 0; i < 300; ++i) {
    Forged entry(fmt::format("{:03}", i), "data");
    entry.crc ^= 1;
    entries.push_back(entry);
  }
  const std::string archive = put_together(entries);
  const auto first = verify_bytes(archive).findings;
  CHECK(first.size() == 100);
  for (int i = 0; i < 10; ++i) CHECK((verify_bytes(archive).findings == first));
  const auto named = verify_bytes(put_together({Forged("../" + std::string(10'000, 'x'), "data")})).findings;
  REQUIRE(named.size() == 1);
  CHECK(named.front().text.size() < 400);
}

}  // namespace
}  // namespace zipmodule::zip
