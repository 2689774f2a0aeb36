#include "queue/job.hpp"

namespace zipmodule::queue {

const char* to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::done:
      return "done";
    case Outcome::failed:
      return "failed";
    case Outcome::retry:
      return "retry";
    case Outcome::lost:
      return "lost";
    case Outcome::skipped:
      return "skipped";
    case Outcome::cancelled:
      return "cancelled";
  }
  return "failed";
}

}  // namespace zipmodule::queue
