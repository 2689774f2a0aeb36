#include "zip/entry_text.hpp"

#include <string>

#include "support/catch.hpp"
#include "zip/forged_archive.hpp"

namespace zipmodule::zip {
namespace {

CentralRecord record_of(const Forged& entry) {
  const std::string bytes = entry.central(0);
  CentralRecord record;
  REQUIRE(decode_central_record(bytes_of(bytes), record) == bytes.size());
  return record;
}

TEST_CASE("a name without the flag is UTF-8 where it can be, else CP437") {
  CHECK(name_of(record_of(Forged("plain"))).text == "plain");
  CHECK(name_of(record_of(Forged("caf\xC3\xA9"))).source == TextSource::utf8);
  const EntryText name = name_of(record_of(Forged("caf\x82 \xE1")));
  CHECK(name.text == "caf\u00e9 \u00df");
  CHECK(name.source == TextSource::cp437);
}

TEST_CASE("every byte of CP437 has a character of its own, those of ASCII their own") {
  CHECK(from_cp437(std::string("\0 A~\x7F", 5)) == std::string("\0 A~\x7F", 5));
  CHECK(from_cp437("\x80\x9F\xB0\xDB\xE3\xFE\xFF") == "\u00c7\u0192\u2591\u2588\u03c0\u25a0\u00a0");
}

TEST_CASE("bytes that break a name flagged as UTF-8 are escaped, not lost") {
  Forged entry("a\xFF\xC3\xA9\xC3");
  entry.flags = k_flag_utf8;
  const EntryText name = name_of(record_of(entry));
  CHECK(name.text == "a\\xff\u00e9\\xc3");
  CHECK(name.source == TextSource::broken_utf8);
}

TEST_CASE("Info-ZIP's Unicode fields are read where their CRC fits what they stand for") {
  Forged entry("caf\x82");
  entry.comment =
      "dr\x81"
      "ben";
  entry.central_extra =
      unicode_field(0x7075, entry.name, "caf\u00e9") + unicode_field(0x6375, entry.comment, "dr\u00fcben");
  CHECK(name_of(record_of(entry)).text == "caf\u00e9");
  CHECK(name_of(record_of(entry)).source == TextSource::unicode_field);
  CHECK(comment_of(record_of(entry)).text == "dr\u00fcben");

  SECTION("of another name") { entry.central_extra = unicode_field(0x7075, "renamed", "other"); }
  SECTION("of another version") { entry.central_extra.replace(4, 1, "\2"); }
  SECTION("too short") { entry.central_extra = le(0x7075, 2) + le(3, 2) + "\1ab"; }
  SECTION("not UTF-8") { entry.central_extra = unicode_field(0x7075, entry.name, "\xFF"); }
  CHECK(name_of(record_of(entry)).text == "caf\u00e9");
  CHECK(name_of(record_of(entry)).source == TextSource::cp437);
}

TEST_CASE("a record has a mode only where Unix or macOS wrote one, and may be a symlink") {
  Forged entry("a");
  CHECK(record_of(entry).mode() == 0644);
  CHECK_FALSE(record_of(entry).symlink());
  entry.external_attributes = 0120777U << 16U;
  CHECK(record_of(entry).symlink());
  entry.version_made = 0x0014;  // DOS
  CHECK_FALSE(record_of(entry).has_mode());
  CHECK_FALSE(record_of(entry).symlink());
  entry.version_made = 0x1314;  // macOS
  CHECK(record_of(entry).mode() == 0777);
  entry.external_attributes = 0x20;
  CHECK_FALSE(record_of(entry).has_mode());
}

TEST_CASE("methods have names, and those without are told by number") {
  CHECK(method_name(0) == "stored");
  CHECK(method_name(8) == "deflated");
  CHECK(method_name(9) == "deflate64");
  CHECK(method_name(12) == "bzip2");
  CHECK(method_name(14) == "LZMA");
  CHECK(method_name(93) == "zstd");
  CHECK(method_name(95) == "xz");
  CHECK(method_name(98) == "PPMd");
  CHECK(method_name(77) == "method 77");
}

}  // namespace
}  // namespace zipmodule::zip
