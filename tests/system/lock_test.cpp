// Two runs on one host.
#include "base/file_lock.hpp"

#include <unistd.h>

#include <algorithm>

#include "support/catch.hpp"
#include "support/tree.hpp"
#include "system/site.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a run under a held lock does nothing, and says who holds it where its exit code tells trouble") {
  Site site;
  write_file(site.content("a.txt"), "a");
  site.publish("series", "a", "a.txt");
  const auto lock = FileLock::try_acquire(site.lock_file());
  REQUIRE(lock);

  CHECK(site.run().exit_code == 0);
  site.set("run.lock_busy_exit", "75");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 75);
  CHECK(run.err.find("pid " + std::to_string(::getpid())) != std::string::npos);
  CHECK(site.state("series", "a") == "pending");
  CHECK(site.sql("SELECT count(*) FROM zipmodule.run") == "0");
}

TEST_CASE("a run without standard descriptors writes its warnings into no file") {
  Site site;
  site.publish("series", "a", "nowhere.txt");
  Command command = site.command({"run"});
  command.argv.insert(command.argv.begin(), {"sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"});
  const Result run = test::run(command);
  INFO(run.text());
  CHECK(run.exit_code == 1);
  CHECK(site.telemetry("series", "a").size() == 1);
  const std::string note = read_file(site.lock_file());
  INFO(note);
  CHECK(note.starts_with("pid "));
  CHECK(note.find('\n') == note.size() - 1);
}

TEST_CASE("a lock file that can't be opened ends with 78 and names it") {
  Site site;
  const std::string path = site.scratch("no folder/run.lock").string();
  site.set("run.lock_file", "\"" + path + "\"");
  const Result run = site.run();
  INFO(run.text());
  CHECK(run.exit_code == 78);
  CHECK(run.err.find(path) != std::string::npos);
}

TEST_CASE("of two runs started together one builds and the other goes away") {
  Site site;
  site.add_slow_content("slow.txt");
  site.set("run.lock_busy_exit", "75");
  site.publish("series", "a", "slow.txt");
  Process first = site.start({"run"});
  Process second = site.start({"run"});
  std::vector<int> codes{first.wait().exit_code, second.wait().exit_code};
  std::sort(codes.begin(), codes.end());
  CHECK(codes == std::vector<int>{0, 75});
  CHECK(site.state("series", "a") == "done");
  CHECK(site.telemetry("series", "a").size() == 1);
  CHECK(site.builds().size() == 1);
}

TEST_CASE("the lock of a killed run is free at once") {
  Site site;
  site.add_slow_content("slow.txt");
  site.set("run.lock_busy_exit", "75");
  site.publish("series", "a", "slow.txt");
  {
    const Process killed = site.run_until_building();
    CHECK(site.run().exit_code == 75);
  }
  CHECK(site.run().exit_code == 0);
  CHECK(site.state("series", "a") == "done");
}

}  // namespace
}  // namespace zipmodule::test
