#include "support/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "base/error.hpp"
#include "support/forking.hpp"

extern char** environ;

namespace zipmodule::test {
namespace {

using std::chrono::milliseconds;

[[noreturn]] void fail(const std::string& doing) {
  throw std::runtime_error(fmt::format("{}: {}", doing, errno_text(errno)));
}

// Output goes to memory files and not to pipes: nobody has to read them for the child to go on.
Fd memory_file(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) fail("memfd_create");
  return fd;
}

std::string content_of(const Fd& fd) {
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t n = pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), text.size());
    if (n < 0) fail("read output");
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < buffer.size()) return text;
  }
}

std::vector<std::string> merged_environment(const Command& command) {
  std::map<std::string, std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    merged.emplace(text.substr(0, equals), text.substr(equals == std::string_view::npos ? text.size() : equals + 1));
  }
  for (const auto& [name, value] : command.environment) {
    if (value) {
      merged[name] = *value;
    } else {
      merged.erase(name);
    }
  }
  std::vector<std::string> entries;
  entries.reserve(merged.size());
  for (const auto& [name, value] : merged) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (auto& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

Fd input_of(const Command& command) {
  if (command.input.empty()) return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd fd = memory_file("stdin");
  if (!pwrite_full(fd.get(), std::as_bytes(std::span(command.input)), 0)) fail("write stdin");
  return fd;
}

// Between fork and exec: only what is safe after a fork in a program with threads.
[[noreturn]] void become(const Command& command, int in, int out, int err, char* const* argv, char* const* env,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  if (!command.where.empty() && ::chdir(command.where.c_str()) != 0) ::_exit(126);
  ::execvpe(argv[0], argv, env);
  const std::string_view text = "exec failed\n";
  [[maybe_unused]] const ssize_t written = ::write(2, text.data(), text.size());
  ::_exit(127);
}

}  // namespace

std::string Result::text() const {
  const std::string end = timed_out     ? std::string("timed out")
                          : signal != 0 ? fmt::format("signal {}", signal)
                                        : fmt::format("exit {}", exit_code);
  return fmt::format("{}\n--- stdout\n{}\n--- stderr\n{}", end, out, err);
}

Process::Process(const Command& command)
    : out_(memory_file("stdout")), err_(memory_file("stderr")), timeout_(command.timeout) {
  std::vector<std::string> arguments = command.argv;
  std::vector<std::string> environment = merged_environment(command);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> env = pointers_to(environment);
  const Fd in = input_of(command);
  const pid_t parent = ::getpid();
  pid_ = fork_without_handlers();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) become(command, in.get(), out_.get(), err_.get(), argv.data(), env.data(), parent);
  ::setpgid(pid_, pid_);
  pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) fail("pidfd_open");
}

Process::Process(Process&& other) noexcept
    : out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      pidfd_(std::move(other.pidfd_)),
      pid_(std::exchange(other.pid_, -1)),
      timeout_(other.timeout_) {}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::running() const {
  if (pid_ < 0) return false;
  pollfd waiting{pidfd_.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 0;
}

void Process::send(int signal) const {
  if (pid_ < 0 || ::kill(pid_, signal) != 0) throw std::runtime_error("signal to a process that has ended");
}

std::string Process::out() const { return content_of(out_); }
std::string Process::err() const { return content_of(err_); }

Result Process::wait(std::optional<milliseconds> timeout) {
  if (pid_ < 0) throw std::runtime_error("waited for twice");
  pollfd waiting{pidfd_.get(), POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + timeout.value_or(timeout_);
  Result result;
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<milliseconds::rep>(left.count(), 0)));
    if (ready > 0) break;
    if (ready < 0 && errno == EINTR) continue;
    result.timed_out = true;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    break;
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = out();
  result.err = err();
  return result;
}

Result run(const Command& command) { return Process(command).wait(); }

Result run(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  return run(command);
}

bool installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const std::string candidate = fmt::format("{}/{}", rest.substr(0, colon), program);
    if (::access(candidate.c_str(), X_OK) == 0) return true;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return false;
}

std::vector<std::string> without_root_rights(std::vector<std::string> argv) {
  if (::geteuid() != 0) return argv;
  // uid 0 without these two capabilities is an owner like any other, and still reaches the build under /root.
  const std::string rights = "-dac_override,-dac_read_search";
  argv.insert(argv.begin(), {"setpriv", "--bounding-set=" + rights, "--inh-caps=" + rights, "--"});
  return argv;
}

std::vector<std::string> with_thread_limit(unsigned threads, std::vector<std::string> argv) {
  argv.insert(argv.begin(), {"prlimit", "--nproc=" + std::to_string(threads), "--"});
  if (::geteuid() != 0) {
    argv.insert(argv.begin(), {"unshare", "--user", "--map-current-user", "--"});
    return argv;
  }
  // As many users as there are processes at once, so that no other test's are counted.
  const std::string user = std::to_string(20'000 + ::getpid() % 40'000);
  const std::string rights = "+dac_override,+dac_read_search";
  argv.insert(argv.begin(), {"setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups", "--inh-caps=" + rights,
                             "--ambient-caps=" + rights, "--"});
  return argv;
}

void pause_between_polls() { std::this_thread::sleep_for(milliseconds(10)); }

}  // namespace zipmodule::test
