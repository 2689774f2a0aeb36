#include "storage/local_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/in_child.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::TempDir;
using test::write_file;

// Runs `work` on a thread whose kernel has no openat2, as before Linux 5.6 or in an old sandbox.
template <class Work>
void without_openat2(Work work) {
  std::jthread([&] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) throw std::runtime_error("seccomp");
    work();
  }).join();
}

// root/ with files, folders and links in and out of it; outside/ beside it; store/ within it.
struct Site {
  Site() {
    write_file(dir / "root/file", "content");
    write_file(dir / "root/folder/inner", "inner content");
    write_file(dir / "root/folder/deeper/deepest", "x");
    write_file(dir / "outside/secret", "secret");
    write_file(dir / "root/store/builds/old.zip", "old");
    link("folder", "root/to_folder");
    link("folder/inner", "root/to_inner");
    link("../file", "root/folder/to_file");
    link("../outside/secret", "root/out");
    link("../outside", "root/out_folder");
    link((dir / "root/file").string(), "root/absolute");
    link("/etc/passwd", "root/absolute_out");
    link("nothing", "root/dangling");
    link("loop_b", "root/loop_a");
    link("loop_a", "root/loop_b");
    link("store/builds", "root/into_store");
    link("/proc/self/root/etc/passwd", "root/magic");
    ::mkfifo((dir / "root/fifo").c_str(), 0644);
  }
  void link(const std::string& target, const std::string& at) const { fs::create_symlink(target, dir / at); }
  LocalRoot root() const { return LocalRoot("media", dir / "root", dir / "root/store"); }

  TempDir dir{"storage"};
};

ErrorKind kind_of(const std::function<void()>& work, std::string* text = nullptr) {
  try {
    work();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.what();
    return error.kind();
  }
  return ErrorKind::usage;  // nothing thrown
}

std::string content_of(LocalFile& file) {
  std::string text(file.status().size_bytes, '\0');
  CHECK(file.read_at(0, std::as_writable_bytes(std::span(text))) == text.size());
  return text;
}

TEST_CASE("files below the root are read, through symlinks that stay below it too") {
  const Site site;
  const LocalRoot root = site.root();
  CHECK(content_of(*root.open("file")) == "content");
  CHECK(content_of(*root.open("folder/inner")) == "inner content");
  CHECK(content_of(*root.open("to_folder/inner")) == "inner content");
  CHECK(content_of(*root.open("to_inner")) == "inner content");
  CHECK(content_of(*root.open("folder/to_file")) == "content");
  CHECK(content_of(*root.open("to_folder/to_file")) == "content");
  CHECK(root.status("").type == FileType::directory);
  CHECK(root.status("to_folder").type == FileType::directory);
  CHECK(root.status("to_inner").size_bytes == 13);
}

TEST_CASE("what leads out of the root, is not there or is no file is an error of its kind, by name") {
  const Site site;
  const LocalRoot root = site.root();
  const auto [path, kind] = GENERATE(table<std::string, ErrorKind>({
      {"../outside/secret", ErrorKind::source_outside},
      {"..", ErrorKind::source_outside},
      {"folder/../../outside/secret", ErrorKind::source_outside},
      {"/etc/passwd", ErrorKind::source_outside},
      {"out", ErrorKind::source_outside},
      {"out_folder/secret", ErrorKind::source_outside},
      {"absolute_out", ErrorKind::source_outside},
      {"magic", ErrorKind::source_outside},
      {"store/builds/old.zip", ErrorKind::source_outside},
      {"into_store/old.zip", ErrorKind::source_outside},
      {"store", ErrorKind::source_outside},
      {"nothing", ErrorKind::source_missing},
      {"folder/nothing", ErrorKind::source_missing},
      {"nothing/file", ErrorKind::source_missing},
      {"file/inner", ErrorKind::source_missing},
      {"dangling", ErrorKind::source_missing},
      {"loop_a", ErrorKind::source_unreadable},
      {"fifo", ErrorKind::source_type},
  }));
  const std::string name = path;
  CAPTURE(name);
  std::string text;
  CHECK(kind_of([&] { root.status(name); }, &text) == kind);
  CHECK_THAT(text, Contains("media:" + name));
  if (name != "store") {
    CHECK(kind_of([&] { root.open(name); }, &text) == kind);
    CHECK_THAT(text, Contains("media:" + name));
  }
}

TEST_CASE("an absolute symlink is followed where it leads below the root, by whatever path") {
  const Site site;
  fs::create_symlink(site.dir / "root", site.dir / "alias");
  for (const fs::path& top : {site.dir / "root", site.dir / "alias", site.dir / "root/folder/.."}) {
    fs::remove(site.dir / "root/far");
    fs::create_symlink(top / "folder", site.dir / "root/far");
    for (const char* folder : {"root", "alias"}) {
      const LocalRoot root("media", site.dir / folder, site.dir / "root/store");
      CHECK(content_of(*root.open("far/inner")) == "inner content");
      CHECK(content_of(*root.open("far/../file")) == "content");
      CHECK(root.status("far").type == FileType::directory);
    }
  }
  fs::create_symlink("far/inner", site.dir / "root/near");
  CHECK(content_of(*site.root().open("near")) == "inner content");
  fs::create_symlink(site.dir / "root/turn_b", site.dir / "root/turn_a");
  fs::create_symlink(site.dir / "root/turn_a", site.dir / "root/turn_b");
  CHECK(kind_of([&] { site.root().open("turn_a"); }) == ErrorKind::source_unreadable);
  fs::create_symlink(site.dir / "root/folder/../..", site.dir / "root/above");
  CHECK(kind_of([&] { site.root().open("above/outside/secret"); }) == ErrorKind::source_outside);
  fs::create_symlink(site.dir / "root/store", site.dir / "root/archives");
  CHECK(kind_of([&] { site.root().status("archives/builds/old.zip"); }) == ErrorKind::source_outside);
}

TEST_CASE("a folder is not opened as a file") {
  const Site site;
  CHECK(kind_of([&] { site.root().open("folder"); }) == ErrorKind::source_type);
  CHECK(kind_of([&] { site.root().open(""); }) == ErrorKind::source_type);
}

TEST_CASE("sockets and devices are refused, and a FIFO without writer never blocks") {
  const Site site;
  const LocalRoot root = site.root();
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A short relative name: socket paths end at 108 bytes.
  const fs::path before = fs::current_path();
  fs::current_path(site.dir / "root");
  std::strcpy(address.sun_path, "socket");
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  fs::current_path(before);
  CHECK(kind_of([&] { root.status("socket"); }) == ErrorKind::source_type);
  CHECK(kind_of([&] { root.open("socket"); }) == ErrorKind::source_type);
  CHECK(kind_of([&] { root.open("fifo"); }) == ErrorKind::source_type);
  if (::mknod((site.dir / "root/null").c_str(), S_IFCHR | 0644, makedev(1, 3)) == 0) {
    CHECK(kind_of([&] { root.status("null"); }) == ErrorKind::source_type);
    CHECK(kind_of([&] { root.open("null"); }) == ErrorKind::source_type);
  } else {
    WARN("not tested: a device, which only root can make");
  }
}

TEST_CASE("a file that may not be read is told as unreadable") {
  const Site site;
  const LocalRoot root = site.root();
  ::chmod((site.dir / "root/file").c_str(), 0);
  ::chmod((site.dir / "root/folder").c_str(), 0);
  std::jthread([&] {
    // The call itself, and not glibc's: of this thread alone.
    if (::geteuid() == 0) ::syscall(SYS_setresuid, -1, 65534, -1);
    CHECK(kind_of([&] { root.open("file"); }) == ErrorKind::source_unreadable);
    CHECK(kind_of([&] { root.open("folder/inner"); }) == ErrorKind::source_unreadable);
    CHECK(root.status("file").size_bytes == 7);
  }).join();
}

TEST_CASE("a root that is not there, or is a file, is away") {
  const Site site;
  for (const char* name : {"nowhere", "root/file", "root/dangling"}) {
    std::string text;
    CHECK(kind_of([&] { LocalRoot("media", site.dir / name, ""); }, &text) == ErrorKind::root_away);
    CHECK_THAT(text, Contains("content root media"));
  }
}

TEST_CASE("a root that is a symlink is the folder it leads to") {
  const Site site;
  site.link("root", "link");
  CHECK(content_of(*LocalRoot("media", site.dir / "link", "").open("file")) == "content");
}

TEST_CASE("the whole host may be a root: then an absolute symlink stays inside") {
  const Site site;
  const LocalRoot host("host", "/", "");
  CHECK(content_of(*host.open((site.dir / "root/absolute").string().substr(1))) == "content");
  CHECK(kind_of([&] { host.open("proc/self/fd/0"); }) != ErrorKind::usage);
}

// --- changes -------------------------------------------------------------------------------------------------------

TEST_CASE("a file that is left alone is unchanged, and reading it changes nothing") {
  const Site site;
  const auto file = site.root().open("file");
  content_of(*file);
  file->require_unchanged();
  CHECK(site.root().open("file")->status().version == file->status().version);
}

TEST_CASE("a change of size, time, content or rights is seen, also where the size and time are put back") {
  const Site site;
  const fs::path path = site.dir / "root/file";
  test::set_mtime(path, 1'000'000'000);
  const std::vector<std::pair<std::string, std::function<void()>>> changes{
      {"longer", [&] { write_file(path, "content and more", 1'000'000'000); }},
      {"shorter", [&] { write_file(path, "cont", 1'000'000'000); }},
      {"other bytes, same size and time", [&] { write_file(path, "CONTENT", 1'000'000'000); }},
      {"other time", [&] { test::set_mtime(path, 1'000'000'001); }},
      {"a nanosecond later", [&] { test::set_mtime(path, 1'000'000'000, 1); }},
      {"executable", [&] { ::chmod(path.c_str(), 0755); }},
  };
  for (const auto& [what, change] : changes) {
    write_file(path, "content", 1'000'000'000);
    ::chmod(path.c_str(), 0644);
    const auto file = site.root().open("file");
    file->require_unchanged();
    // The clock that ctime is taken from has ticks of some milliseconds: change until it has moved.
    const bool seen = test::wait_until([&, &apply = change] {
      apply();
      return kind_of([&] { file->require_unchanged(); }) == ErrorKind::source_changed;
    });
    INFO(what);
    CHECK(seen);
  }
}

TEST_CASE("a file replaced by another of the same size and time is another file") {
  const Site site;
  const fs::path path = site.dir / "root/file";
  test::set_mtime(path, 1'000'000'000);
  const auto before = site.root().status("file");
  write_file(site.dir / "root/new", "CONTENT", 1'000'000'000);
  fs::rename(site.dir / "root/new", path);
  const auto after = site.root().status("file");
  CHECK(after.size_bytes == before.size_bytes);
  CHECK(after.mtime_ns == before.mtime_ns);
  CHECK_FALSE(after.version == before.version);
}

TEST_CASE("a time that nanoseconds in 64 bits can't hold is the nearest one that they can") {
  const Site site;
  const fs::path path = site.dir / "root/file";
  const auto [seconds, expected] = GENERATE(table<std::int64_t, std::int64_t>(
      {{10'000'000'000, INT64_MAX}, {13'000'000'000, INT64_MAX}, {9'223'372'035, 9'223'372'035'000'000'000}}));
  test::set_mtime(path, seconds);
  struct stat s {};
  ::stat(path.c_str(), &s);
  if (s.st_mtim.tv_sec != seconds) {
    WARN("not tested: this file system can't hold the time " << seconds);
    return;
  }
  CHECK(site.root().status("file").mtime_ns == expected);
}

// --- walks ---------------------------------------------------------------------------------------------------------

const WalkLimits k_limits;

class Recorder final : public Visitor {
 public:
  void found(const std::string& path, const FileStatus& status) override {
    seen.push_back(path + (status.type == FileType::directory ? "/" : ""));
    if (on_found) on_found(path);
  }
  void problem(const std::string& path, const Error& error) override {
    CHECK_THAT(error.what(), Contains(path));
    problems.push_back(fmt::format("{}: {}", error.code(), error.what()));
  }

  std::vector<std::string> seen;
  std::vector<std::string> problems;
  std::function<void(const std::string&)> on_found;
};

TEST_CASE("a walk goes bytewise by full path, folders before what is in them") {
  const TempDir dir("walk");
  for (const char* name : {"b", "B", "a/z", "a/\u00e9", "a-b/x", "a.b", "a b/y", "a0/x", "ab", "A/b", "\u00e9/f"})
    write_file(dir / "r" / name, "x");
  fs::create_directories(dir / "r/a/empty");
  Recorder recorder;
  LocalRoot("r", dir / "r", "").walk("", k_limits, {}, recorder);
  auto sorted = recorder.seen;
  std::sort(sorted.begin(), sorted.end());
  CHECK(recorder.seen == sorted);
  CHECK(recorder.seen == std::vector<std::string>{"A/", "A/b", "B", "a b/", "a b/y", "a-b/", "a-b/x", "a.b", "a/",
                                                  "a/empty/", "a/z", "a/\u00e9", "a0/", "a0/x", "ab", "b", "\u00e9/",
                                                  "\u00e9/f"});
  CHECK(recorder.problems.empty());
}

TEST_CASE("a walk tells what it can't list, by kind and name, and goes on") {
  const Site site;
  fs::remove_all(site.dir / "root/store");
  Recorder recorder;
  site.root().walk("", k_limits, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"absolute", "file", "folder/", "folder/deeper/",
                                                  "folder/deeper/deepest", "folder/inner", "folder/to_file",
                                                  "to_folder/", "to_folder/deeper/", "to_folder/deeper/deepest",
                                                  "to_folder/inner", "to_folder/to_file", "to_inner"});
  std::sort(recorder.problems.begin(), recorder.problems.end());
  const std::vector<std::string> expected{"source_missing: source media:dangling",
                                          "source_missing: source media:into_store",
                                          "source_outside: source media:absolute_out",
                                          "source_outside: source media:magic",
                                          "source_outside: source media:out",
                                          "source_outside: source media:out_folder",
                                          "source_type: source media:fifo",
                                          "source_unreadable: source media:loop_a",
                                          "source_unreadable: source media:loop_b"};
  REQUIRE(recorder.problems.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK_THAT(recorder.problems[i], Catch::Matchers::StartsWith(expected[i]));
}

TEST_CASE("a walk that comes upon the store, directly or by symlink, ends with an error") {
  const Site site;
  Recorder recorder;
  CHECK(kind_of([&] { site.root().walk("", k_limits, {}, recorder); }) == ErrorKind::source_outside);
  CHECK(kind_of([&] { site.root().walk("store/builds", k_limits, {}, recorder); }) == ErrorKind::source_outside);
  CHECK(kind_of([&] { site.root().walk("into_store", k_limits, {}, recorder); }) == ErrorKind::source_outside);
}

TEST_CASE("a symlink to a folder above is an error, not a walk without end") {
  const TempDir dir("walk");
  write_file(dir / "r/a/b/file", "x");
  fs::create_symlink("../../a", dir / "r/a/b/up");
  Recorder recorder;
  std::string text;
  CHECK(kind_of([&] { LocalRoot("r", dir / "r", "").walk("", k_limits, {}, recorder); }, &text) ==
        ErrorKind::source_unreadable);
  CHECK_THAT(text, Contains("r:a/b/up"));
}

TEST_CASE("a walk ends at the depth it was given, and no sooner") {
  const TempDir dir("walk");
  write_file(dir / "r/1/2/3/file", "x");
  const LocalRoot root("r", dir / "r", "");
  Recorder recorder;
  WalkLimits limits;
  limits.max_depth = 4;
  root.walk("", limits, {}, recorder);
  CHECK(recorder.seen.size() == 4);
  limits.max_depth = 3;
  std::string text;
  CHECK(kind_of([&] { root.walk("", limits, {}, recorder); }, &text) == ErrorKind::limit);
  CHECK_THAT(text, Contains("r:1/2/3") && Contains("3 folders"));
}

TEST_CASE("a walk stops when it is told") {
  const Site site;
  std::stop_source stop;
  Recorder recorder;
  recorder.on_found = [&](const std::string&) { stop.request_stop(); };
  CHECK(kind_of([&] { site.root().walk("folder", k_limits, stop.get_token(), recorder); }) == ErrorKind::stopped);
}

TEST_CASE("a folder replaced by a symlink during a walk is not followed") {
  const Site site;
  fs::remove_all(site.dir / "root/store");
  Recorder recorder;
  recorder.on_found = [&](const std::string& path) {
    if (path != "folder") return;
    fs::rename(site.dir / "root/folder", site.dir / "root/moved");
    site.link("moved", "root/folder");
  };
  site.root().walk("", k_limits, {}, recorder);
  CHECK(std::find(recorder.seen.begin(), recorder.seen.end(), "folder/inner") == recorder.seen.end());
}

TEST_CASE("a folder of ten thousand files is walked in order, and leaves no descriptor open") {
  const TempDir dir("walk");
  fs::create_directories(dir / "r");
  for (int i = 0; i < 10'000; ++i)
    Fd(::open((dir / "r" / std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  const LocalRoot root("r", dir / "r", "");
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  Recorder recorder;
  root.walk("", k_limits, {}, recorder);
  CHECK(recorder.seen.size() == 10'000);
  CHECK(std::is_sorted(recorder.seen.begin(), recorder.seen.end()));
  CHECK(open_files() == before);
}

// 600 folders of files, in two levels: more than the caller of a walk reads by itself. Symlinks and empty folders among them.
void write_many_folders(const fs::path& top) {
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 30; ++j) {
      const fs::path folder = top / fmt::format("{}{}", i % 3 == 0 ? "a-" : "a", i) / fmt::format("b{}", j * 7919 % 31);
      fs::create_directories(folder);
      for (int k = 0; k < j % 5; ++k) Fd(::open((folder / fmt::format("f{}", k)).c_str(), O_WRONLY | O_CREAT, 0644));
    }
    fs::create_symlink(fmt::format("a{}/b1", (i + 1) % 20), top / fmt::format("link{}", i));
  }
}

TEST_CASE("a walk finds the same in the same order with any number of threads, and leaves no descriptor open") {
  const TempDir dir("walk");
  write_many_folders(dir / "r");
  const LocalRoot root("r", dir / "r", "");
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  WalkLimits limits;
  limits.threads = 0;
  Recorder alone;
  root.walk("", limits, {}, alone);
  CHECK(std::is_sorted(alone.seen.begin(), alone.seen.end()));
  CHECK(alone.seen.size() > 600 + 1200);
  CHECK_FALSE(alone.problems.empty());
  for (unsigned threads : {1U, 2U, 8U, 1U, 2U, 8U}) {
    limits.threads = threads;
    Recorder recorder;
    root.walk("", limits, {}, recorder);
    CHECK(recorder.seen == alone.seen);
    CHECK(recorder.problems == alone.problems);
  }
  CHECK(open_files() == before);
}

TEST_CASE(
    "a walk with threads ends at the first error in its order, when it is told to stop, and where its visitor throws") {
  const TempDir dir("walk");
  write_many_folders(dir / "r");
  fs::create_symlink("..", dir / "r/a19/b9/up");
  fs::create_symlink("..", dir / "r/a5/b9/up");
  const LocalRoot root("r", dir / "r", "");
  std::string text;
  Recorder recorder;
  CHECK(kind_of([&] { root.walk("", k_limits, {}, recorder); }, &text) == ErrorKind::source_unreadable);
  CHECK_THAT(text, Contains("r:a19/b9/up"));
  CHECK(recorder.seen.back() == "a19/b9/up/");

  std::stop_source stop;
  recorder.on_found = [&](const std::string& path) {
    if (path == "a10/b12") stop.request_stop();
  };
  CHECK(kind_of([&] { root.walk("", k_limits, stop.get_token(), recorder); }) == ErrorKind::stopped);
  CHECK(recorder.seen.back() == "a10/b12/");

  recorder.on_found = [&](const std::string& path) {
    if (path == "a10/b12") throw Error(ErrorKind::limit, "enough");
  };
  CHECK(kind_of([&] { root.walk("", k_limits, {}, recorder); }, &text) == ErrorKind::limit);
  CHECK(text == "enough");
}

TEST_CASE(
    "folders that are read ahead are removed, moved and replaced meanwhile: a problem by name, or what was there") {
  const TempDir dir("walk");
  write_many_folders(dir / "r");
  write_file(dir / "outside/secret", "x");
  const LocalRoot root("r", dir / "r", "");
  Recorder recorder;
  recorder.on_found = [&](const std::string& path) {
    if (path != "a1/b10") return;
    for (int i = 10; i < 20; ++i) {
      for (const char* name : {"a-", "a"}) {
        const fs::path folder = dir / "r" / fmt::format("{}{}", name, i);
        if (!fs::exists(folder)) continue;
        fs::rename(folder, dir / "outside" / folder.filename());
        if (i % 2 == 0) fs::create_symlink(dir / "outside", folder);
      }
    }
  };
  root.walk("", k_limits, {}, recorder);
  CHECK(std::is_sorted(recorder.seen.begin(), recorder.seen.end()));
  CHECK(std::find_if(recorder.seen.begin(), recorder.seen.end(),
                     [](const std::string& path) { return path.ends_with("secret"); }) == recorder.seen.end());
  CHECK_FALSE(recorder.problems.empty());
}

TEST_CASE(
    "a folder that changes while it is listed: what vanished is missing, what became a folder or none has changed") {
  const TempDir dir("walk");
  // The second batch of names gets its status after the first was found.
  for (int i = 0; i < 3'000; ++i) write_file(dir / "r" / fmt::format("f{:04}", i), "x");
  fs::create_directories(dir / "r/f2800x");
  write_file(dir / "r/g/inner", "x");
  Recorder recorder;
  recorder.on_found = [&](const std::string& path) {
    if (path != "f0000") return;
    fs::remove(dir / "r/f2500");
    fs::remove(dir / "r/f2600");
    fs::create_directory(dir / "r/f2600");
    fs::remove(dir / "r/f2700");
    fs::create_symlink("g", dir / "r/f2700");
    fs::remove(dir / "r/f2800x");
    write_file(dir / "r/f2800x", "x");
    fs::rename(dir / "r/g", dir / "r/h");
    fs::create_symlink("h", dir / "r/g");
    write_file(dir / "r/z", "came too late");
  };
  LocalRoot("r", dir / "r", "").walk("", k_limits, {}, recorder);
  CHECK(recorder.seen.size() == 3'000 - 3);
  CHECK(std::is_sorted(recorder.seen.begin(), recorder.seen.end()));
  REQUIRE(recorder.problems.size() == 5);
  CHECK_THAT(recorder.problems[0], Catch::Matchers::StartsWith("source_missing: source r:f2500"));
  for (std::size_t i = 1; i < 5; ++i) CHECK_THAT(recorder.problems[i], Catch::Matchers::StartsWith("source_changed"));
  CHECK_THAT(recorder.problems[4], Contains("r:g "));
}

TEST_CASE("a folder of more names than may be held is refused while it is listed, before any is found") {
  const TempDir dir("walk");
  fs::create_directories(dir / "r/many");
  for (int i = 0; i < 5'000; ++i) Fd(::open((dir / "r/many" / std::to_string(i)).c_str(), O_WRONLY | O_CREAT, 0644));
  const LocalRoot root("r", dir / "r", "");
  WalkLimits limits;
  limits.max_names = 5'001;
  Recorder recorder;
  root.walk("", limits, {}, recorder);
  CHECK(recorder.seen.size() == 5'001);
  recorder.seen.clear();
  limits.max_names = 5'000;
  std::string text;
  CHECK(kind_of([&] { root.walk("", limits, {}, recorder); }, &text) == ErrorKind::limit);
  CHECK_THAT(text, Contains("r:many") && Contains("5000"));
  CHECK(recorder.seen == std::vector<std::string>{"many/"});
}

// --- without openat2 -----------------------------------------------------------------------------------------------

TEST_CASE("without openat2 plain files are read, and every symlink and '..' is refused, none told as missing") {
  const Site site;
  without_openat2([&] {
    const LocalRoot root = site.root();
    CHECK(content_of(*root.open("file")) == "content");
    CHECK(content_of(*root.open("folder/deeper/deepest")) == "x");
    CHECK(root.status("").type == FileType::directory);
    CHECK(kind_of([&] { root.open("../outside/secret"); }) == ErrorKind::source_outside);
    CHECK(kind_of([&] { root.open("folder/../file"); }) == ErrorKind::source_outside);
    CHECK(kind_of([&] { root.open("fifo"); }) == ErrorKind::source_type);
    CHECK(kind_of([&] { root.open("nothing"); }) == ErrorKind::source_missing);
    CHECK(kind_of([&] { root.open("file/x"); }) == ErrorKind::source_missing);
    CHECK(kind_of([&] { root.open("store/builds/old.zip"); }) == ErrorKind::source_outside);
    for (const std::string path :
         {"out", "to_inner", "dangling", "loop_a", "absolute", "out_folder/secret", "to_folder/inner", "to_folder"}) {
      CAPTURE(path);
      CHECK(kind_of([&] { root.open(path); }) == ErrorKind::source_unreadable);
      CHECK(kind_of([&] { root.status(path); }) == ErrorKind::source_unreadable);
    }
  });
}

TEST_CASE("without openat2 a walk with threads finds the same as one without") {
  const TempDir dir("walk");
  write_many_folders(dir / "r");
  without_openat2([&] {
    const LocalRoot root("r", dir / "r", "");
    WalkLimits limits;
    limits.threads = 0;
    Recorder alone;
    root.walk("", limits, {}, alone);
    Recorder recorder;
    root.walk("", k_limits, {}, recorder);
    CHECK(recorder.seen == alone.seen);
    CHECK(recorder.problems == alone.problems);
    CHECK(recorder.problems.size() == 20);
  });
}

TEST_CASE("without openat2 a walk lists plain files and tells every symlink") {
  const Site site;
  fs::remove_all(site.dir / "root/store");
  without_openat2([&] {
    Recorder recorder;
    site.root().walk("", k_limits, {}, recorder);
    CHECK(recorder.seen ==
          std::vector<std::string>{"file", "folder/", "folder/deeper/", "folder/deeper/deepest", "folder/inner"});
    CHECK(recorder.problems.size() == 13);
    for (const auto& problem : recorder.problems) {
      CHECK_THAT(problem, Catch::Matchers::StartsWith("source_unreadable") || Contains("fifo"));
    }
  });
}

TEST_CASE("a lack of descriptors is no fault of the source") {
  const Site site;
  const LocalRoot root = site.root();
  CHECK(test::in_child([&] {
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          limit.rlim_cur = 0;
          if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
          const bool told = kind_of([&] { root.open("file"); }) == ErrorKind::open_files &&
                            kind_of([&] { root.status("file"); }) == ErrorKind::open_files;
          return told ? 0 : 1;
        }) == 0);
}

}  // namespace
}  // namespace zipmodule::storage
