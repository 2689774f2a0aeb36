// What every content root promises, each held to it by what it reads from.
#include "storage/root.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "storage/local_root.hpp"
#include "storage/s3_root.hpp"
#include "storage/sftp_root.hpp"
#include "support/catch.hpp"
#include "support/ssh_server.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::write_file;

constexpr std::int64_t k_time = 1'600'000'001;

// k_file_system: there are symlinks, rights, empty folders and what is neither file nor folder. A bucket has none of these,
// and what leads through one is not there.
struct LocalPlace {
  static constexpr bool k_file_system = true;
  std::unique_ptr<Root> open(const fs::path& folder) const { return std::make_unique<LocalRoot>("media", folder, ""); }
};

struct SftpPlace {
  static constexpr bool k_file_system = true;
  std::unique_ptr<Root> open(const fs::path& folder) const {
    SftpOptions options;
    options.host = test::SshServer::host();
    options.port = server.port();
    options.user = server.user();
    options.key = server.key();
    options.known_hosts = {server.known_hosts()};
    options.sessions = 3;
    return std::make_unique<SftpRoot>("media", options, folder.string(), std::uint64_t{16} << 20U);
  }
  test::SshServer server;
};

struct S3Place {
  static constexpr bool k_file_system = false;
  std::unique_ptr<Root> open(const fs::path& folder) {
    server = std::make_unique<test::StrictS3>(folder);
    S3Options options;
    options.bucket = "bucket";
    options.endpoint = server->endpoint();
    options.region = test::StrictS3::region();
    options.credentials_file = server->credentials();
    options.connections = 3;
    return std::make_unique<S3Root>("media", options, std::uint64_t{16} << 20U);
  }
  std::unique_ptr<test::StrictS3> server;
};

// A folder with what can be in one, and the root that begins there.
template <class Place>
struct Tree {
  Tree() {
    write_file(dir / "root/file", "content", k_time);
    write_file(dir / "root/empty", "", k_time);
    write_file(dir / "root/folder/inner", "inner content", k_time);
    write_file(dir / "root/folder/deeper/deepest", "x", k_time);
    write_file(dir / "outside/secret", "secret", k_time);
    link("folder", "root/to_folder");
    link("folder/inner", "root/to_inner");
    link("../file", "root/folder/to_file");
    link("../outside/secret", "root/out");
    link("../outside", "root/out_folder");
    link("/etc/passwd", "root/absolute_out");
    link("nothing", "root/dangling");
    ::mkfifo((dir / "root/fifo").c_str(), 0644);
    root = place.open(dir / "root");
  }
  void link(const std::string& target, const std::string& at) const { fs::create_symlink(target, dir / at); }

  std::unique_ptr<File> open(const std::string& path) const { return root->open(path, root->status(path, {}), {}); }
  std::string content(const std::string& path) const {
    const auto status = root->status(path, {});
    const auto file = root->open(path, status, {});
    std::string text(status.size_bytes, '\0');
    CHECK(file->read_at(0, std::as_writable_bytes(std::span(text))) == text.size());
    file->require_unchanged();
    return text;
  }

  test::TempDir dir{"root"};
  Place place;
  std::unique_ptr<Root> root;
};

ErrorKind kind_of(const std::function<void()>& work, std::string* text = nullptr) {
  try {
    work();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.full_text();
    return error.kind();
  }
  return ErrorKind::usage;  // nothing thrown
}

class Recorder final : public Visitor {
 public:
  void found(const std::string& path, const FileStatus& status) override {
    seen.push_back(path + (status.type == FileType::directory ? "/" : ""));
  }
  void problem(const std::string& path, const Error& error) override {
    CHECK_THAT(error.what(), Contains(path));
    problems.push_back(fmt::format("{} {}", path, error.code()));
  }
  void left_out(std::uint64_t names) override { excluded += names; }

  std::vector<std::string> seen;
  std::vector<std::string> problems;
  std::uint64_t excluded = 0;
};

TEMPLATE_TEST_CASE("files below the root are read, through symlinks that stay below it too", "", LocalPlace, SftpPlace,
                   S3Place) {
  const Tree<TestType> tree;
  CHECK(tree.content("file") == "content");
  CHECK(tree.content("empty").empty());
  CHECK(tree.content("folder/inner") == "inner content");
  CHECK(tree.content("folder/deeper/deepest") == "x");
  if (!TestType::k_file_system) return;
  CHECK(tree.content("to_inner") == "inner content");
  CHECK(tree.content("to_folder/inner") == "inner content");
  CHECK(tree.content("folder/to_file") == "content");
}

TEMPLATE_TEST_CASE("a status tells type, size, time and whether it is executable", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  const auto file = tree.root->status("file", {});
  CHECK(file.type == FileType::regular);
  CHECK(file.size_bytes == 7);
  CHECK(file.mtime_ns == k_time * 1'000'000'000);
  CHECK_FALSE(file.executable);
  CHECK(tree.root->status("folder", {}).type == FileType::directory);
  CHECK(tree.root->status("", {}).type == FileType::directory);
  if (!TestType::k_file_system) return;
  ::chmod((tree.dir / "root/file").c_str(), 0755);
  CHECK(tree.root->status("file", {}).executable);
  CHECK(tree.root->status("to_folder", {}).type == FileType::directory);
  CHECK(tree.root->status("to_inner", {}).size_bytes == 13);
}

TEMPLATE_TEST_CASE("many files are looked up at a time, each with its own answer", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  std::vector<std::future<FileStatus>> answers;
  for (int i = 0; i < 100; ++i) {
    if (i != 50) write_file(tree.dir / "root" / std::to_string(i), std::string(static_cast<std::size_t>(i), 'x'));
  }
  for (int i = 0; i < 100; ++i) answers.push_back(tree.root->look_up(std::to_string(i), {}));
  for (std::size_t i = 0; i < 100; ++i) {
    if (i == 50) {
      CHECK(kind_of([&] { answers[i].get(); }) == ErrorKind::source_missing);
    } else {
      CHECK(answers[i].get().size_bytes == i);
    }
  }
}

TEMPLATE_TEST_CASE("two files are never the same version, and one that is left alone always is", "", LocalPlace,
                   SftpPlace, S3Place) {
  const Tree<TestType> tree;
  write_file(tree.dir / "root/twin", "content", k_time);
  CHECK(tree.root->status("file", {}).version == tree.root->status("file", {}).version);
  CHECK_FALSE(tree.root->status("file", {}).version == tree.root->status("twin", {}).version);
}

TEMPLATE_TEST_CASE("what is missing, outside or no file is told apart, by name", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  const auto [path, kind] = GENERATE(table<std::string, ErrorKind>({{"nothing", ErrorKind::source_missing},
                                                                    {"folder/nothing", ErrorKind::source_missing},
                                                                    {"nothing/at/all", ErrorKind::source_missing},
                                                                    {"file/x", ErrorKind::source_missing},
                                                                    {"dangling", ErrorKind::source_missing},
                                                                    {"out", ErrorKind::source_outside},
                                                                    {"out_folder/secret", ErrorKind::source_outside},
                                                                    {"absolute_out", ErrorKind::source_outside},
                                                                    {"fifo", ErrorKind::source_type}}));
  std::string text;
  INFO(path);
  const ErrorKind expected = TestType::k_file_system ? kind : ErrorKind::source_missing;
  CHECK(kind_of([&, &name = path] { tree.root->status(name, {}); }, &text) == expected);
  CHECK_THAT(text, Contains("media:" + path));
}

TEMPLATE_TEST_CASE("any part of a file is read, and nothing behind its end", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  const std::string content = test::random_bytes(5'000'000);
  write_file(tree.dir / "root/large", content, k_time);
  const auto file = tree.open("large");
  const auto part = [&](std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    text.resize(file->read_at(offset, std::as_writable_bytes(std::span(text))));
    return text;
  };
  CHECK(part(0, 1) == content.substr(0, 1));
  CHECK(part(3'000'000, 100'000) == content.substr(3'000'000, 100'000));
  CHECK(part(1'234'567, 3'000'000) == content.substr(1'234'567, 3'000'000));
  CHECK(part(4'999'990, 100) == content.substr(4'999'990));
  CHECK(part(5'000'000, 100).empty());
  CHECK(part(0, 5'000'000) == content);
  file->require_unchanged();
}

TEMPLATE_TEST_CASE("a file is read by many threads at once", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  constexpr std::size_t k_part = 300'000;
  const std::string content = test::random_bytes(20 * k_part);
  write_file(tree.dir / "root/large", content, k_time);
  const auto file = tree.open("large");
  std::string text(content.size(), '\0');
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 5; ++i) {
      threads.emplace_back([&] {
        try {
          for (std::size_t part = next++; part < 20; part = next++) {
            const auto to = std::as_writable_bytes(std::span(text)).subspan(part * k_part, k_part);
            if (file->read_at(part * k_part, to) != k_part) failed = true;
          }
        } catch (const Error&) {
          failed = true;
        }
      });
    }
  }
  CHECK_FALSE(failed);
  CHECK(text == content);
}

TEMPLATE_TEST_CASE("a file that changes is seen to, at the latest behind its last byte", "", LocalPlace, SftpPlace,
                   S3Place) {
  const Tree<TestType> tree;
  const fs::path path = tree.dir / "root/file";
  const auto read_all = [&](File& file) {
    std::string text(7, '\0');
    file.read_at(0, std::as_writable_bytes(std::span(text)));
    file.require_unchanged();
  };
  const auto listed = tree.root->status("file", {});
  SECTION("before it is opened") {
    // Where content is what tells versions apart, the same one is the same version.
    write_file(path, TestType::k_file_system ? "content" : "CONTENT", k_time + 5);
    CHECK(kind_of([&] { read_all(*tree.root->open("file", listed, {})); }) == ErrorKind::source_changed);
  }
  SECTION("longer, before it is opened") {
    write_file(path, "content and more", k_time);
    CHECK(kind_of([&] { read_all(*tree.root->open("file", listed, {})); }) == ErrorKind::source_changed);
  }
  SECTION("while it is open") {
    const auto file = tree.root->open("file", listed, {});
    std::string text(3, '\0');
    file->read_at(0, std::as_writable_bytes(std::span(text)));
    write_file(path, "CONTENT", k_time + 5);
    CHECK(kind_of([&] { read_all(*file); }) == ErrorKind::source_changed);
  }
  SECTION("gone") {
    fs::remove(path);
    CHECK(kind_of([&] { read_all(*tree.root->open("file", listed, {})); }) == ErrorKind::source_missing);
  }
}

TEMPLATE_TEST_CASE("a walk goes bytewise by full path, folders before what is in them", "", LocalPlace, SftpPlace,
                   S3Place) {
  const Tree<TestType> tree;
  const fs::path top = tree.dir / "root/walk";
  for (const char* name : {"b", "B", "a/z", "a/\u00e9", "a-b/x", "a.b", "a b/y", "a0/x", "ab", "A/b", "line\nbreak"}) {
    write_file(top / name, "x", k_time);
  }
  fs::create_directories(top / "empty");
  Recorder recorder;
  tree.root->walk("walk", {}, {}, recorder);
  std::vector<std::string> expected{"A/",  "A/b",      "B",   "a b/", "a b/y", "a-b/", "a-b/x",  "a.b",        "a/",
                                    "a/z", "a/\u00e9", "a0/", "a0/x", "ab",    "b",    "empty/", "line\nbreak"};
  if (!TestType::k_file_system) expected.erase(expected.end() - 2);
  CHECK(recorder.seen == expected);
  CHECK(recorder.problems.empty());
}

TEMPLATE_TEST_CASE("a walk follows symlinks below the root, and tells of what it can't list", "", LocalPlace, SftpPlace,
                   S3Place) {
  const Tree<TestType> tree;
  Recorder recorder;
  tree.root->walk("", {}, {}, recorder);
  if (!TestType::k_file_system) {
    CHECK(recorder.seen == std::vector<std::string>{"empty", "file", "folder/", "folder/deeper/",
                                                    "folder/deeper/deepest", "folder/inner"});
    CHECK(recorder.problems.empty());
    return;
  }
  CHECK(recorder.seen == std::vector<std::string>{"empty", "file", "folder/", "folder/deeper/", "folder/deeper/deepest",
                                                  "folder/inner", "folder/to_file", "to_folder/", "to_folder/deeper/",
                                                  "to_folder/deeper/deepest", "to_folder/inner", "to_folder/to_file",
                                                  "to_inner"});
  CHECK(recorder.problems == std::vector<std::string>{"absolute_out source_outside", "dangling source_missing",
                                                      "fifo source_type", "out source_outside",
                                                      "out_folder source_outside"});
}

TEMPLATE_TEST_CASE("a walk leaves out what is excluded, enters no such folder, and counts what it left out", "",
                   LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  const fs::path top = tree.dir / "root/walk";
  for (const char* name : {".DS_Store", "._a", "a", "sub/._b", "sub/b", "sub/build/x", "build/x", "build/y",
                           "lost+found/1", "lost+found/sub/2", "z/lost+found/3", "z/nfs"}) {
    write_file(top / name, "x", k_time);
  }
  // Would be told, were the folder entered.
  fs::create_symlink("nothing", top / "lost+found/dangling");
  fs::create_symlink("nothing", top / "._dangling");
  const Exclusion exclusion({".DS_Store", "._*", "lost+found", "sub/build"});
  WalkLimits limits;
  limits.exclude = &exclusion;
  limits.max_names = 12;  // what is left out does not count
  Recorder recorder;
  tree.root->walk("walk", limits, {}, recorder);
  CHECK(recorder.seen == std::vector<std::string>{"a", "build/", "build/x", "build/y", "sub/", "sub/b", "z/", "z/nfs"});
  CHECK(recorder.problems.empty());
  CHECK(recorder.excluded == (TestType::k_file_system ? 7 : 6));
  // What is walked itself is never left out.
  Recorder listed;
  tree.root->walk("walk/lost+found/sub", limits, {}, listed);
  CHECK(listed.seen == std::vector<std::string>{"2"});
}

TEMPLATE_TEST_CASE("a walk of many folders finds all of them, in order", "", LocalPlace, SftpPlace, S3Place) {
  const Tree<TestType> tree;
  std::vector<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    const std::string folder = fmt::format("{:02}/", i);
    expected.push_back(folder);
    for (int j = 0; j < 5; ++j) {
      expected.push_back(fmt::format("{}{}/", folder, j));
      expected.push_back(fmt::format("{}{}/file", folder, j));
      write_file(tree.dir / "root/many" / expected.back(), "x");
    }
  }
  Recorder recorder;
  tree.root->walk("many", {}, {}, recorder);
  CHECK(recorder.seen == expected);
}

TEMPLATE_TEST_CASE("a walk ends at its limits, and in a folder that contains itself", "", LocalPlace, SftpPlace,
                   S3Place) {
  const Tree<TestType> tree;
  Recorder recorder;
  WalkLimits limits;
  SECTION("names") {
    limits.max_names = 2;
    CHECK(kind_of([&] { tree.root->walk("folder", limits, {}, recorder); }) == ErrorKind::limit);
  }
  SECTION("depth") {
    limits.max_depth = 1;
    CHECK(kind_of([&] { tree.root->walk("folder", limits, {}, recorder); }) == ErrorKind::limit);
    limits.max_depth = 2;
    CHECK(kind_of([&] { tree.root->walk("folder", limits, {}, recorder); }) == ErrorKind::usage);
  }
  SECTION("a circle") {
    tree.link("..", "root/folder/up");
    const ErrorKind expected = TestType::k_file_system ? ErrorKind::source_unreadable : ErrorKind::usage;
    CHECK(kind_of([&] { tree.root->walk("folder", limits, {}, recorder); }) == expected);
  }
  SECTION("nothing there") {
    CHECK(kind_of([&] { tree.root->walk("nothing", limits, {}, recorder); }) == ErrorKind::source_missing);
  }
  SECTION("a stop") {
    std::stop_source stop;
    stop.request_stop();
    CHECK(kind_of([&] { tree.root->walk("folder", limits, stop.get_token(), recorder); }) == ErrorKind::stopped);
  }
}

}  // namespace
}  // namespace zipmodule::storage
