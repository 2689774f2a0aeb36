// Other programs, started and watched: the binary under test, the judges, psql.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"

namespace zipmodule::test {

struct Command {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  // Over the test's own environment; nullopt removes the variable.
  std::map<std::string, std::optional<std::string>> environment;
  std::string input;            // stdin; /dev/null when empty
  std::filesystem::path where;  // working directory; the test's own when empty
  std::chrono::milliseconds timeout = std::chrono::seconds(120);
};

struct Result {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;  // killed by us for that reason
  std::string out;
  std::string err;

  bool quiet() const { return out.empty() && err.empty(); }
  // "exit 1\n<stdout>\n<stderr>", for Catch's INFO
  std::string text() const;
};

// A running child in a process group of its own, with no signal blocked and no descriptor of the test but its three.
// The destructor kills the group. Start it from the thread that outlives it: the kernel kills the child with that thread.
class Process {
 public:
  explicit Process(const Command& command);
  ~Process();
  Process(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process& operator=(Process&&) = delete;

  pid_t pid() const noexcept { return pid_; }
  bool running() const;
  // To the process itself, e.g. SIGSTOP, SIGCONT, SIGTERM, SIGKILL.
  void send(int signal) const;
  // What it wrote so far.
  std::string out() const;
  std::string err() const;
  // Waits for its end, kills it when `timeout` (the command's own by default) is over, and returns what it was.
  Result wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

 private:
  Fd out_, err_;
  Fd pidfd_;
  pid_t pid_ = -1;
  std::chrono::milliseconds timeout_;
};

Result run(const Command& command);
Result run(std::vector<std::string> argv);

// Whether a program of this name is in PATH.
bool installed(const std::string& program);

// argv so that permissions hold for it: root's right to read and write everything is dropped. Unchanged for others.
std::vector<std::string> without_root_rights(std::vector<std::string> argv);

// argv for a user with no other process, who may have so many threads in all. Root has no such limit, so root becomes
// another user, who may read and write everything all the same; others get a namespace of their own to be counted in.
std::vector<std::string> with_thread_limit(unsigned threads, std::vector<std::string> argv);

// Polls `condition` until it holds; false when `timeout` is over.
template <class Condition>
bool wait_until(Condition condition, std::chrono::milliseconds timeout = std::chrono::seconds(30));

void pause_between_polls();

template <class Condition>
bool wait_until(Condition condition, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    pause_between_polls();
  }
  return true;
}

}  // namespace zipmodule::test
