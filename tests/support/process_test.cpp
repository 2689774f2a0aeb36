#include "support/process.hpp"

#include <fmt/format.h>

#include <csignal>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::test {
namespace {

using namespace std::chrono_literals;

TEST_CASE("output, error output and exit code come back apart") {
  const Result result = run({"sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(result.exit_code == 3);
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
}

TEST_CASE("input arrives, also more than a pipe holds") {
  Command command;
  command.argv = {"cat"};
  command.input = wordy_text(1 << 20);
  CHECK(run(command).out == command.input);
}

TEST_CASE("variables are set and removed") {
  Command command;
  command.argv = {"sh", "-c", "echo ${ZM_A-none} ${HOME-none}"};
  command.environment = {{"ZM_A", "a"}, {"HOME", std::nullopt}};
  CHECK(run(command).out == "a none\n");
}

TEST_CASE("a program that takes too long is killed") {
  Command command;
  command.argv = {"sleep", "600"};
  command.timeout = 50ms;
  const Result result = run(command);
  CHECK(result.timed_out);
  CHECK(result.signal == SIGKILL);
}

// The letter in /proc/PID/stat: T is stopped, S and R are not.
char state_of(const Process& process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process.pid()));
  std::string stat;
  std::getline(file, stat);
  const auto name_end = stat.rfind(") ");
  return name_end == std::string::npos ? '?' : stat.at(name_end + 2);
}

TEST_CASE("a stopped process goes on after SIGCONT") {
  Command command;
  command.argv = {"sleep", "600"};
  Process process(command);
  process.send(SIGSTOP);
  CHECK(wait_until([&] { return state_of(process) == 'T'; }));
  CHECK(process.running());
  process.send(SIGCONT);
  CHECK(wait_until([&] { return state_of(process) != 'T'; }));
  process.send(SIGTERM);
  CHECK(process.wait().signal == SIGTERM);
}

TEST_CASE("a program that is not there is told by its exit code") {
  CHECK(run({"no-such-program-here"}).exit_code == 127);
}

TEST_CASE("without root's rights a file without permissions can't be read") {
  const TempDir dir;
  write_file(dir / "closed", "x");
  std::filesystem::permissions(dir / "closed", std::filesystem::perms::none);
  CHECK(run(without_root_rights({"cat", (dir / "closed").string()})).exit_code != 0);
  std::filesystem::permissions(dir / "closed", std::filesystem::perms::owner_read);
  CHECK(run(without_root_rights({"cat", (dir / "closed").string()})).out == "x");
}

}  // namespace
}  // namespace zipmodule::test
