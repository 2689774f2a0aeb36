// Data of every kind that compresses in its own way, from a few bytes of a fuzzer.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <string>

namespace zipmodule::fuzz {

// At most `most` bytes: literal ones, runs, copies of what came before at any distance, noise, and noise of few values,
// which shrinks although nothing in it repeats.
std::string make_content(FuzzedDataProvider& input, std::size_t most);

}  // namespace zipmodule::fuzz
