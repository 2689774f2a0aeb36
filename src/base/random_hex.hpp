// Names that nobody else has.
#pragma once

#include <string>

namespace zipmodule {

// 32 lowercase hexadecimal digits: 128 bits of the system's random numbers. Throws Error{internal} where there are
// none.
std::string random_hex();

}  // namespace zipmodule
