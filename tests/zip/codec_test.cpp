#include "zip/codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/deflate_stream.hpp"
#include "zip/explorer_inputs.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using zipmodule::test::random_bytes;
using zipmodule::test::wordy_text;

constexpr Level k_all_levels[] = {Level::fast, Level::balanced, Level::small};

// Shrinks in some places only.
std::string mixed(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text;
  while (text.size() < size) {
    const std::size_t length = 1 + random() % 90'000;
    switch (random() % 4) {
      case 0:
        text += random_bytes(length, random());
        break;
      case 1:
        text += wordy_text(length, random());
        break;
      case 2:
        text.append(length, static_cast<char>(random()));
        break;
      default:
        text += skewed_bytes(random, length, 30);
        break;
    }
  }
  text.resize(size);
  return text;
}

std::string deflated_in_chunks(std::string_view data, Level level, std::size_t chunk_bytes = k_chunk_bytes) {
  std::vector<std::byte> out;
  while (data.size() > chunk_bytes) {
    deflate_chunk(bytes_of(data.substr(0, chunk_bytes)), level, false, out);
    data.remove_prefix(chunk_bytes);
  }
  deflate_chunk(bytes_of(data), level, true, out);
  return std::string(text_of(out));
}

TEST_CASE("every dynamic block that deflate_entry writes has two distance codes or more") {
  for (const Level level : k_all_levels) {
    int deflated = 0;
    for (const auto& data : explorer_inputs()) {
      std::vector<std::byte> out;
      if (!deflate_entry(bytes_of(data), level, out)) continue;
      ++deflated;
      const auto findings = inspect_deflate(out, bytes_of(data));
      if (!findings.decodes || !findings.portable_codes)
        FAIL("level " << to_string(level) << ": " << data.substr(0, 100));
    }
    CHECK(deflated > 40);  // the rule is not kept by storing everything
  }
}

TEST_CASE("every dynamic block that deflate_chunk writes has two distance codes or more") {
  for (const Level level : k_all_levels) {
    std::string all;
    std::vector<std::byte> joined;
    for (const auto& data : explorer_inputs()) {
      deflate_chunk(bytes_of(data), level, false, joined);
      all += data;
    }
    deflate_chunk(bytes_of("the end"), level, true, joined);
    all += "the end";
    const auto findings = inspect_deflate(joined, bytes_of(all));
    CHECK(findings.decodes);
    CHECK(findings.portable_codes);
    CHECK(joined.size() < all.size());
  }
}

TEST_CASE("an entry that would not shrink is left alone, and so is what stands before it") {
  const auto data = GENERATE(std::string(), std::string("x"), std::string("ab"), std::string("\x01\x02\x03"),
                             random_bytes(100), random_bytes(70'000), random_bytes(k_chunk_bytes));
  std::vector<std::byte> out{std::byte{1}, std::byte{2}};
  for (const Level level : k_all_levels) {
    CHECK_FALSE(deflate_entry(bytes_of(data), level, out));
    CHECK(out == std::vector<std::byte>{std::byte{1}, std::byte{2}});
  }
}

TEST_CASE("a deflated entry is smaller than its source, and stands behind what was there") {
  for (const Level level : k_all_levels) {
    for (const std::size_t size : {60U, 100U, 4'000U, 65'535U, 65'536U, 65'537U, 500'000U, 1U << 20U}) {
      const std::string data = wordy_text(size / 2, size) + std::string(size - size / 2, 'z');
      std::vector<std::byte> out{std::byte{9}};
      if (!deflate_entry(bytes_of(data), level, out)) FAIL("not deflated: " << size);
      CHECK(out.front() == std::byte{9});
      CHECK(out.size() - 1 < data.size());
      CHECK(inflate_raw(text_of(std::span(out).subspan(1))) == data);
    }
  }
}

TEST_CASE("joined chunks decode to their data, around the chunk size") {
  const Level level = GENERATE(Level::fast, Level::balanced, Level::small);
  for (const std::size_t size : {std::size_t{1}, k_chunk_bytes - 1, k_chunk_bytes, k_chunk_bytes + 1, 2 * k_chunk_bytes,
                                 2 * k_chunk_bytes + 1, 2 * k_chunk_bytes + 77'777}) {
    const std::string kinds[] = {mixed(size, size), wordy_text(size), random_bytes(size), std::string(size, '\0')};
    for (const auto& data : kinds) {
      const std::string stream = deflated_in_chunks(data, level);
      if (inflate_raw(stream) != data) FAIL("size " << size << " at level " << to_string(level));
      if (!inspect_deflate(bytes_of(stream), bytes_of(data)).portable_codes) FAIL("not portable: size " << size);
    }
  }
}

TEST_CASE("joined chunks decode to their data, whatever the pieces") {
  std::mt19937_64 random(99);
  for (int i = 0; i < 150; ++i) {
    const std::string data = mixed(1 + random() % 150'000, random());
    const std::size_t piece = 1 + random() % data.size();
    const Level level = k_all_levels[random() % 3];
    std::vector<std::byte> out;
    for (std::size_t at = 0; at < data.size(); at += piece) {
      const auto part = std::string_view(data).substr(at, piece);
      deflate_chunk(bytes_of(part), level, at + piece >= data.size(), out);
    }
    const auto findings = inspect_deflate(out, bytes_of(data));
    if (!findings.decodes || !findings.portable_codes)
      FAIL("round " << i << " of " << data.size() << " bytes by " << piece);
  }
}

TEST_CASE("tiny chunks take at most the five bytes of a stored block more") {
  for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 20U}) {
    for (const auto& data : {std::string(size, 'a'), random_bytes(size)}) {
      for (const bool final : {false, true}) {
        std::vector<std::byte> out;
        deflate_chunk(bytes_of(data), Level::small, final, out);
        CHECK(out.size() <= size + 5);
      }
    }
  }
}

TEST_CASE("chunks that don't shrink become stored blocks, five bytes for each 65,535") {
  const std::string data = random_bytes(k_chunk_bytes);
  std::vector<std::byte> out;
  deflate_chunk(bytes_of(data), Level::balanced, false, out);
  CHECK(out.size() == data.size() + 5 * ((data.size() + 65'534) / 65'535));
}

TEST_CASE("the same data gives the same stream, on every thread and after any other") {
  const std::string data = mixed(k_chunk_bytes, 5);
  const std::string alone = deflated_in_chunks(data, Level::small);
  std::vector<std::string> streams(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      threads.emplace_back([&, i] {
        deflated_in_chunks(wordy_text(10'000 * (i + 1), i), k_all_levels[i % 3]);
        streams[i] = deflated_in_chunks(data, Level::small);
      });
    }
  }
  for (const auto& stream : streams) CHECK(stream == alone);
}

TEST_CASE("the trial reads within the content, and its size alone decides where") {
  for (const std::uint64_t size :
       {std::uint64_t{1} << 16U, (std::uint64_t{1} << 16U) + 1, std::uint64_t{k_chunk_bytes},
        std::uint64_t{k_chunk_bytes} + 1, std::uint64_t{5} << 32U, std::uint64_t{1} << 60U}) {
    std::vector<std::uint64_t> offsets[2];
    for (auto& seen : offsets) {
      const bool first = &seen == &offsets[0];
      worth_deflating(size, Level::balanced, [&](std::uint64_t offset, std::span<std::byte> buffer) {
        CHECK(offset <= size - buffer.size());
        seen.push_back(offset);
        std::fill(buffer.begin(), buffer.end(), first ? std::byte{0} : static_cast<std::byte>(offset));
      });
    }
    CHECK(offsets[0] == offsets[1]);
    CHECK(offsets[0].front() == 0);
    CHECK(std::is_sorted(offsets[0].begin(), offsets[0].end()));
  }
}

TEST_CASE("what does not shrink is not worth it, what does is, and nothing is at level store") {
  const auto worth = [](const std::string& data, Level level) {
    return worth_deflating(data.size(), level, [&](std::uint64_t offset, std::span<std::byte> buffer) {
      const auto part = bytes_of(std::string_view(data).substr(offset, buffer.size()));
      std::copy(part.begin(), part.end(), buffer.begin());
    });
  };
  for (const std::size_t size : {std::size_t{100'000}, 3 * k_chunk_bytes}) {
    CHECK(worth(wordy_text(size), Level::fast));
    CHECK_FALSE(worth(random_bytes(size), Level::small));
    CHECK_FALSE(worth(wordy_text(size), Level::store));
  }
  CHECK_FALSE(worth("", Level::small));
}

TEST_CASE("level names are read back, and nothing else is a level") {
  for (const Level level : {Level::store, Level::fast, Level::balanced, Level::small}) {
    CHECK(parse_level(to_string(level)) == level);
  }
  for (const char* text : {"", "Fast", "9", "best", "store "}) CHECK_FALSE(parse_level(text));
}

}  // namespace
}  // namespace zipmodule::zip
