// For what C libraries hand out, in a std::unique_ptr.
#pragma once

namespace zipmodule {

// A deleter that calls `Free`: std::unique_ptr<CURL, Freer<curl_easy_cleanup>>.
template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* what) const noexcept {
    Free(what);
  }
};

}  // namespace zipmodule
