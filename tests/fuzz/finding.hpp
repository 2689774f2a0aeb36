// What a fuzz target says where a promise is broken.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace zipmodule::fuzz {

// libFuzzer keeps the input of a process that aborts.
[[noreturn]] inline void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

inline void require(bool promise, const char* what) {
  if (!promise) finding(what);
}

}  // namespace zipmodule::fuzz
