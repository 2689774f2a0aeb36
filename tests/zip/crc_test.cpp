#include "zip/crc.hpp"

#include <zlib.h>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

TEST_CASE("the CRC is the one of zip files") {
  CHECK(zip::crc32(0, bytes_of("123456789")) == 0xCBF43926);
  CHECK(zip::crc32(0, {}) == 0);
}

TEST_CASE("a CRC goes on where it was left, and two of them can be joined") {
  const std::string data = zipmodule::test::random_bytes(10'000);
  const auto whole = zip::crc32(0, bytes_of(data));
  CHECK(whole == ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), 10'000));
  for (const std::size_t at : {0U, 1U, 4'095U, 9'999U, 10'000U}) {
    const auto first = zip::crc32(0, bytes_of(data.substr(0, at)));
    const auto second = zip::crc32(0, bytes_of(data.substr(at)));
    CHECK(zip::crc32(first, bytes_of(data.substr(at))) == whole);
    CHECK(crc32_of_both(first, second, data.size() - at) == whole);
  }
}

}  // namespace
}  // namespace zipmodule::zip
