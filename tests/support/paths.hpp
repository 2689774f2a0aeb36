// Where this checkout and its build are. paths.cpp alone is compiled with these paths, so that a compiler's cache serves
// all other tests in every checkout.
#pragma once

#include <string>
#include <string_view>

namespace zipmodule::test {

// `below` is relative: source_path("config/zipmodule.yaml"), build_path("zipmodule").
std::string source_path(std::string_view below);
std::string build_path(std::string_view below);

}  // namespace zipmodule::test
