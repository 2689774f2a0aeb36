// Data for which libdeflate before 1.19 can write a block without distance codes, which Windows Explorer can't read.
#pragma once

#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "support/tree.hpp"

namespace zipmodule::zip {

inline std::string random_hex(std::mt19937_64& random, std::size_t digits) {
  std::string text;
  while (text.size() < digits) text += "0123456789abcdef"[random() % 16];
  return text;
}

inline std::vector<std::string> sha256sum_lines(std::size_t count) {
  std::mt19937_64 random(42);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines.push_back(fmt::format("{}  {}.tar.gz\n", random_hex(random, 64), static_cast<char>('a' + i % 26)));
  }
  return lines;
}

// Bytes drawn from few values of falling likelihood: they shrink, and hardly anything in them repeats.
inline std::string skewed_bytes(std::mt19937_64& random, std::size_t size, unsigned values) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    const auto a = random() % values;
    const auto b = random() % values;
    text += static_cast<char>('!' + std::min(a, b) % 200);
  }
  return text;
}

inline std::vector<std::string> explorer_inputs() {
  std::vector<std::string> inputs = sha256sum_lines(40);
  std::mt19937_64 random(7);
  for (const std::size_t size : {20U, 33U, 50U, 64U, 80U, 100U, 128U, 200U, 300U, 1000U}) {
    for (const unsigned values : {8U, 16U, 24U, 40U, 64U, 180U}) inputs.push_back(skewed_bytes(random, size, values));
    inputs.push_back(random_hex(random, size));
    // Every byte once: a short text without repeats.
    std::string once;
    for (std::size_t i = 0; i < std::min<std::size_t>(size, 90); ++i) once += static_cast<char>(' ' + i);
    std::shuffle(once.begin(), once.end(), random);
    inputs.push_back(once);
  }
  for (const std::size_t size : {5'000U, 60'000U, 200'000U, 900'000U}) {
    for (const unsigned values : {24U, 64U, 180U}) inputs.push_back(skewed_bytes(random, size, values));
  }
  return inputs;
}

}  // namespace zipmodule::zip
