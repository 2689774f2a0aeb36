#include "support/paths.hpp"

namespace zipmodule::test {

std::string source_path(std::string_view below) { return std::string(ZIPMODULE_SOURCE_DIR "/").append(below); }
std::string build_path(std::string_view below) { return std::string(ZIPMODULE_BINARY_DIR "/").append(below); }

}  // namespace zipmodule::test
