#include "base/random_hex.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"

namespace zipmodule {

std::string random_hex() {
  std::array<unsigned char, 16> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) {
    throw Error(ErrorKind::internal, "the system's random numbers are not available");
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace zipmodule
