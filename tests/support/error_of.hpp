// What a call throws, as a value.
#pragma once

#include <functional>
#include <optional>

#include "base/error.hpp"

namespace zipmodule::test {

// Nullopt where it throws nothing. What is no Error goes on to the caller.
inline std::optional<Error> error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace zipmodule::test
