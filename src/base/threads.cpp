#include "base/threads.hpp"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace zipmodule {
namespace {

// Once: every further start would say the same.
void warn_of_lack(const Error& error) {
  static std::atomic_flag warned;
  if (!warned.test_and_set()) log::warn("going on with fewer threads: {}", error.full_text());
}

// `threads` has room for all: from the first thread on, nothing here may throw.
void add_threads(std::vector<Thread>& threads, std::string_view purpose, std::size_t most, const ThreadWork& work) {
  while (threads.size() < most) {
    Thread thread = try_start_thread(purpose, work);
    if (!thread.joinable()) return;
    threads.push_back(std::move(thread));
  }
}

}  // namespace

Thread start_thread(std::string_view purpose, ThreadWork work) {
  try {
    return Thread(std::jthread(std::move(work)));
  } catch (const std::exception& problem) {
    throw Error(ErrorKind::threads, fmt::format("start a thread for {}: {}", purpose, problem.what()),
                "raise the limit of processes (ulimit -u, systemd's TasksMax, a container's limit of pids), or lower "
                "the number of threads");
  }
}

Thread try_start_thread(std::string_view purpose, ThreadWork work) {
  try {
    return start_thread(purpose, std::move(work));
  } catch (const Error& error) {
    warn_of_lack(error);
    return {};
  }
}

std::vector<Thread> start_threads(std::string_view purpose, std::size_t most, const ThreadWork& work) {
  std::vector<Thread> threads;
  threads.reserve(most);
  add_threads(threads, purpose, most, work);
  return threads;
}

std::vector<Thread> start_crew(std::string_view purpose, std::size_t most, const ThreadWork& work) {
  std::vector<Thread> threads;
  threads.reserve(most);
  threads.push_back(start_thread(purpose, work));
  add_threads(threads, purpose, most, work);
  return threads;
}

}  // namespace zipmodule
