#include "cli/format.hpp"

#include <chrono>
#include <string>

#include "cli/table.hpp"
#include "support/catch.hpp"

using namespace zipmodule::cli;
using namespace std::chrono_literals;

TEST_CASE("bytes are shown with two or three digits and a binary unit") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1024) == "1.0 KiB");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(10'234) == "10 KiB");
  CHECK(human_bytes(1'048'575) == "1.0 MiB");
  CHECK(human_bytes(UINT64_MAX) == "16 EiB");
}

TEST_CASE("durations are shown by their two largest units") {
  CHECK(human_duration(0) == "0s");
  CHECK(human_duration(59.4) == "59s");
  CHECK(human_duration(59.6) == "1m");
  CHECK(human_duration(200) == "3m 20s");
  CHECK(human_duration(7500) == "2h 5m");
  CHECK(human_duration(3600) == "1h");
  CHECK(human_duration(273'600) == "3d 4h");
  CHECK(human_duration(-45) == "45s");
  CHECK_FALSE(human_duration(1e300).empty());
}

TEST_CASE("sizes and durations are written back exactly") {
  CHECK(size_text(std::uint64_t{256} << 20) == "256MiB");
  CHECK(size_text(0) == "0");
  CHECK(size_text(10'000'001) == "10000001");
  CHECK(duration_text(24h) == "24h");
  CHECK(duration_text(9600h) == "400d");
  CHECK(duration_text(60h) == "60h");
  CHECK(duration_text(0s) == "0s");
  CHECK(duration_text(90s) == "90s");
}

TEST_CASE("what could drive a terminal or break a line is made visible") {
  CHECK(printable("Über/日本") == "Über/日本");
  CHECK(printable("a\033[31mb\nc\x7f") == "a\\u{1b}[31mb\\u{a}c\\u{7f}");
  CHECK(printable("bad\xff\xfe") == "bad??");
  CHECK(printable("gnp\u202e.exe") == "gnp\\u{202e}.exe");
}

TEST_CASE("width counts columns, not bytes") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("Über") == 4);
  CHECK(display_width("日本") == 4);
  CHECK(display_width("e\u0301") == 1);
}

TEST_CASE("arguments are quoted for a shell where they need it") {
  CHECK(shell_quoted("summer-2026") == "summer-2026");
  CHECK(shell_quoted("") == "''");
  CHECK(shell_quoted("a b") == "'a b'");
  CHECK(shell_quoted("it's; rm -rf $HOME") == "'it'\\''s; rm -rf $HOME'");
}

TEST_CASE("times of the database are read in each of their spellings") {
  const auto expected = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + 3h + 4min + 5s;
  for (const std::string text : {"2026-01-02T03:04:05Z", "2026-01-02 03:04:05.678901+00", "2026-01-02T03:04:05.6+00:00",
                                 "2026-01-02T03:04:05+0000"}) {
    INFO(text);
    REQUIRE(parse_utc(text));
    CHECK(*parse_utc(text) == expected);
  }
  for (const std::string text : {"", "soon", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-02",
                                 "2026-01-02T03:04:05", "2026-01-02T03:04:05+02:00", "2026-01-02T25:04:05Z"}) {
    INFO(text);
    CHECK_FALSE(parse_utc(text));
  }
  CHECK(relative("2026-01-02T03:04:05Z", expected + 65s) == "1m 5s ago");
  CHECK(relative("2026-01-02T03:04:05Z", expected - 65s) == "in 1m 5s");
  CHECK(relative("soon", expected) == "soon");
}

TEST_CASE("a table aligns its columns by width and leaves no spaces at the ends") {
  Table table({{"NAME"}, {"SIZE", Table::Align::right}, {"NOTE"}});
  table.add({{"Über"}, {"5 B"}, {""}});
  table.add({{"日本語"}, {"10 KiB"}, {"two\nlines", Colour::red}});
  CHECK(table.text(false) ==
        "NAME      SIZE  NOTE\n"
        "Über       5 B\n"
        "日本語  10 KiB  two\\u{a}lines\n");
  CHECK(table.text(true).find("\033[31mtwo\\u{a}lines\033[0m") != std::string::npos);
}
