// What an operator can do about each kind of failure of a job.
#pragma once

#include <string>
#include <string_view>

namespace zipmodule::cli {

// One sentence or more for the text code of base/error.hpp; empty where there is nothing to say.
std::string advice_for(std::string_view error_kind);

}  // namespace zipmodule::cli
