// What every target promises, each held to it by where it delivers to. What goes wrong with hosts is in sftp_target_test.cpp, and
// what goes wrong with buckets in s3_target_test.cpp.
#include "storage/target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/local_target.hpp"
#include "storage/remote.hpp"
#include "storage/s3_client.hpp"
#include "storage/s3_target.hpp"
#include "storage/sftp_target.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/loop_mount.hpp"
#include "support/process.hpp"
#include "support/ssh_server.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::storage {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using test::error_of;
using test::random_bytes;
using test::write_file;

const std::string k_name = "builds/ab/abcdef.zip";
const std::string k_link = "public/series/archive.zip";

// --- places --------------------------------------------------------------------------------------------------------

// Where a target named "backup" delivers to, looked at from the other side. Another kind of target is held to all of the
// promises by one more class of this kind in the lists of the test cases.
class Place {
 public:
  Place() = default;
  virtual ~Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // What it can. Links: that they are relative symlinks.
  virtual bool has_symlinks() const { return true; }
  virtual bool switches_in_one_step() const = 0;
  virtual bool tells_free_bytes() const { return true; }
  virtual bool has_folders() const { return true; }  // which can be in the way
  // From this size on an upload that is killed leaves something.
  virtual std::size_t leaves_half_bytes() const { return 1; }
  virtual bool switch_leaves_half() const { return true; }  // one that is killed

  virtual std::unique_ptr<Target> target() const = 0;
  virtual std::unique_ptr<Target> target_of_nothing() const = 0;  // its folder, or bucket, is not there
  virtual bool nothing_was_made() const = 0;                      // by that one
  // Calls it with a target whose login may read and not write; false, with a warning, where this machine can't.
  virtual bool with_closed(const std::function<void(Target&)>& work) const = 0;

  // What reads as this name, through links; nullopt where there is nothing.
  virtual std::optional<std::string> content(const std::string& path) const = 0;
  // All that is there, hidden names and leftovers of uploads included, folders left out; sorted.
  virtual std::vector<std::string> names() const = 0;
  // What the link was made with, where it has symlinks.
  virtual std::string link_text(const std::string& link) const = 0;
  // Puts this there, as somebody else would.
  virtual void write(const std::string& path, const std::string& content) const = 0;
  virtual void make_folder(const std::string& path) const = 0;
  // Leaves what an upload of `path`, or a switch of that link, leaves that was killed.
  virtual void leave_half(const std::string& path, const std::string& content) const = 0;
  // Whether bytes of an upload of `path` that has not ended have arrived.
  virtual bool has_begun(const std::string& path) const = 0;
};

// A folder of this host, whoever serves it.
class FolderPlace : public Place {
 public:
  FolderPlace() { fs::create_directory(folder_); }
  explicit FolderPlace(fs::path folder) : folder_(std::move(folder)) { fs::create_directory(folder_); }

  std::optional<std::string> content(const std::string& path) const override {
    std::ifstream file(folder_ / path, std::ios::binary);
    if (!file || fs::is_directory(folder_ / path)) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (!entry.is_directory() || entry.is_symlink())
        found.push_back(entry.path().lexically_relative(folder_).string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string link_text(const std::string& link) const override { return fs::read_symlink(folder_ / link).string(); }
  void write(const std::string& path, const std::string& content) const override {
    write_file(folder_ / path, content);
  }
  void make_folder(const std::string& path) const override { fs::create_directories(folder_ / path); }
  void leave_half(const std::string& path, const std::string& content) const override {
    write(partial_name(path), content);
  }
  bool has_begun(const std::string& path) const override {
    std::error_code error;
    const auto size = fs::file_size(folder_ / partial_name(path), error);
    return !error && size > 0;
  }
  bool nothing_was_made() const override { return !fs::exists(missing()); }

  fs::path folder() const { return folder_; }

 protected:
  fs::path missing() const { return dir_ / "not mounted"; }

  test::TempDir dir_{"target"};

 private:
  fs::path folder_ = dir_ / "target";
};

class LocalPlace final : public FolderPlace {
 public:
  using FolderPlace::FolderPlace;

  bool switches_in_one_step() const override { return true; }
  std::unique_ptr<Target> target() const override { return std::make_unique<LocalTarget>("backup", folder()); }
  std::unique_ptr<Target> target_of_nothing() const override {
    return std::make_unique<LocalTarget>("backup", missing());
  }
  // In a thread without root's right to write everywhere.
  bool with_closed(const std::function<void(Target&)>& work) const override {
    fs::permissions(folder(), fs::perms(0555));
    std::atomic<bool> dropped = false;
    std::jthread([&] {
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct none[2] = {};
      dropped = ::syscall(SYS_capset, &header, none) == 0;
      if (dropped) work(*target());
    }).join();
    fs::permissions(folder(), fs::perms(0755));
    if (!dropped) WARN("not tested: the thread can't drop its rights");
    return dropped;
  }
};

class SftpPlace final : public FolderPlace {
 public:
  using FolderPlace::FolderPlace;

  bool switches_in_one_step() const override { return false; }  // libssh2 before 1.11 can't
  std::unique_ptr<Target> target() const override { return to(folder(), server_.user()); }
  std::unique_ptr<Target> target_of_nothing() const override { return to(missing(), server_.user()); }
  bool with_closed(const std::function<void(Target&)>& work) const override {
    if (::getuid() != 0) {
      WARN("not tested: only root's sshd lets others log in");
      return false;
    }
    for (const fs::path& path : {dir_.path(), server_.known_hosts().parent_path()}) {
      fs::permissions(path, fs::perms(0755));
    }
    work(*to(folder(), "nobody"));
    return true;
  }

 private:
  std::unique_ptr<Target> to(const fs::path& folder, const std::string& user) const {
    SftpOptions options;
    options.host = test::SshServer::host();
    options.port = server_.port();
    options.user = user;
    options.key = server_.key();
    options.known_hosts = {server_.known_hosts()};
    options.sessions = 3;
    return std::make_unique<SftpTarget>("backup", options, folder.string(), false);
  }

  test::SshServer server_{{"ed25519", "ForceCommand internal-sftp\n"}};  // nobody has no shell
};

// A bucket. What reads a link goes on to the archive that it names, as a web site's redirect does.
class S3Place final : public Place {
 public:
  S3Place() {
    options_.bucket = "bucket";
    options_.prefix = "mirror/zips";
    options_.endpoint = server_.endpoint();
    options_.region = test::StrictS3::region();
    options_.credentials_file = server_.credentials();
  }

  bool has_symlinks() const override { return false; }
  bool switches_in_one_step() const override { return true; }
  bool tells_free_bytes() const override { return false; }
  bool has_folders() const override { return false; }
  std::size_t leaves_half_bytes() const override { return 17'000'000; }  // in parts
  bool switch_leaves_half() const override { return false; }             // it is one request

  std::unique_ptr<Target> target() const override { return to(options_); }
  std::unique_ptr<Target> target_of_nothing() const override {
    S3Options options = options_;
    options.bucket = "nothing";
    return to(options);
  }
  bool nothing_was_made() const override { return names().empty(); }
  bool with_closed(const std::function<void(Target&)>& work) const override {
    S3Options options = options_;
    options.profile = "reader";
    work(*to(options));
    return true;
  }

  std::optional<std::string> content(const std::string& path) const override {
    const auto text = object(path);
    const std::string prefix = options_.prefix + "/";
    if (!text || !text->starts_with(prefix) || !text->ends_with('\n')) return text;
    return object(text->substr(prefix.size(), text->size() - prefix.size() - 1));
  }
  // What is not below the prefix is called "../" and what it is; an upload, "(upload) " and its key.
  std::vector<std::string> names() const override {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(objects_)) {
      if (!entry.is_directory()) found.push_back(entry.path().lexically_relative(root()).string());
    }
    std::istringstream uploads(server_.uploads());
    for (std::string id, key; uploads >> id && std::getline(uploads >> std::ws, key);) {
      found.push_back("(upload) " + key);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string link_text(const std::string& link) const override { return object(link).value_or(""); }
  void write(const std::string& path, const std::string& content) const override { write_file(root() / path, content); }
  void make_folder(const std::string& /*path*/) const override {}
  // Even one without a part.
  void leave_half(const std::string& path, const std::string& content) const override {
    S3Client client(options_);
    const std::string key = client.key_of(path);
    const std::string id = client.create_upload(key, {}, "x", {});
    if (content.empty()) return;
    const HttpBody body{content, -1, 0, 0};
    client.put_part(key, id, 1, body, digest_of(body, "x"), "x", {});
  }
  bool has_begun(const std::string& path) const override {
    const std::string key = options_.prefix + "/" + path;
    return server_.uploads().find(" " + key + "\n") != std::string::npos &&
           server_.requests("UploadPart '" + key + "'") > 0;
  }

 private:
  static std::unique_ptr<Target> to(const S3Options& options) { return std::make_unique<S3Target>("backup", options); }
  fs::path root() const { return objects_ / options_.prefix; }
  std::optional<std::string> object(const std::string& path) const {
    std::ifstream file(root() / path, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  test::TempDir dir_{"bucket"};
  fs::path objects_ = dir_ / "objects";
  test::StrictS3 server_{objects_};
  S3Options options_;
};

// --- archives ------------------------------------------------------------------------------------------------------

// A finished archive of this host.
class Archive {
 public:
  explicit Archive(std::string content) : content_(std::move(content)), size_(content_.size()) {
    write_file(dir_ / "archive", content_);
    open();
  }
  // So many zeros that take no space here.
  static Archive zeros(std::uint64_t size) { return Archive(size); }

  const std::string& content() const { return content_; }
  LocalSource source() const { return {fd_.get(), size_}; }

 private:
  explicit Archive(std::uint64_t size) : size_(size) {
    write_file(dir_ / "archive", "");
    fs::resize_file(dir_ / "archive", size);
    open();
  }
  void open() { fd_ = Fd(::open((dir_ / "archive").c_str(), O_RDONLY | O_CLOEXEC)); }

  test::TempDir dir_{"archive"};
  std::string content_;
  std::uint64_t size_;
  Fd fd_;
};

using Names = std::vector<std::string>;

// --- putting -------------------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("an archive arrives under its name whole, and nothing else does", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  const std::size_t size = GENERATE(0, 5, (1U << 20U) + 3, 40'000'000);
  const Archive archive(random_bytes(size));
  const auto target = place.target();
  CHECK(target->parallel() >= 1);
  CHECK(target->put(archive.source(), k_name, {}) == size);
  CHECK(place.names() == Names{k_name});
  CHECK((place.content(k_name) == archive.content()));
}

TEMPLATE_TEST_CASE("an archive that is there is not sent again", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const Archive archive(random_bytes(100'000));
  const auto target = place.target();
  target->put(archive.source(), k_name, {});
  const std::string other = random_bytes(100'000, 2);
  place.write(k_name, other);
  CHECK(target->put(archive.source(), k_name, {}) == 0);
  CHECK((place.content(k_name) == other));
  CHECK(place.target()->put(archive.source(), k_name, {}) == 0);
  CHECK(place.names() == Names{k_name});
}

TEMPLATE_TEST_CASE("what has that name and another size is replaced", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const std::size_t size = GENERATE(0, 99'999, 100'001);
  const Archive archive(random_bytes(100'000));
  place.write(k_name, random_bytes(size, 2));
  CHECK(place.target()->put(archive.source(), k_name, {}) == 100'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_name});
}

TEMPLATE_TEST_CASE("what an upload that was killed left is no obstacle, and gone", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const std::size_t left = GENERATE(0, 60'000, 100'000, 3'000'000);
  const std::size_t size = std::max<std::size_t>(100'000, place.leaves_half_bytes());
  const Archive archive(random_bytes(size));
  place.leave_half(k_name, random_bytes(left, 2));
  REQUIRE_FALSE(place.content(k_name));
  REQUIRE(place.names().size() == 1);
  CHECK(place.target()->put(archive.source(), k_name, {}) == size);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_name});
}

TEMPLATE_TEST_CASE("a folder of the archive's name is an error that names the target", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  if (!place.has_folders()) return;
  const Archive archive(random_bytes(100));
  place.make_folder(k_name);
  const auto error = error_of([&] { place.target()->put(archive.source(), k_name, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->what(), Contains("target backup"));
}

TEMPLATE_TEST_CASE("a file in the place of a folder is an error that names the target", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  if (!place.has_folders()) return;
  const Archive archive(random_bytes(100));
  place.write("builds", "a file");
  const auto error = error_of([&] { place.target()->put(archive.source(), k_name, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->what(), Contains("target backup"));
  CHECK(place.names() == Names{"builds"});
}

TEMPLATE_TEST_CASE("an archive that is shorter than told is not delivered, and the next one is", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const Archive archive(random_bytes(20'000'000));
  const auto target = place.target();
  LocalSource longer = archive.source();
  longer.size_bytes *= 2;
  const auto error = error_of([&] { target->put(longer, k_name, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::corrupt);
  CHECK_FALSE(place.content(k_name));
  CHECK(target->put(archive.source(), k_name, {}) == 20'000'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_name});
}

TEMPLATE_TEST_CASE("names arrive as they are", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  Names expected;
  for (const char* name :
       {"with space", "\u00fc\u65e5\u672c", "it's \"this\"", "back\\slash", "-rf", "%41&?#+;*", "a.zip"}) {
    const std::string path = fmt::format("builds/{}/{}.zip", name, name);
    const std::string link = fmt::format("public/{}/{}.zip", name, name);
    CHECK(target->put(archive.source(), path, {}) == 7);
    target->point(link, path, {});
    CHECK(place.content(link) == "content");
    CHECK(target->unpoint(link, path, {}));
    expected.push_back(path);
  }
  std::sort(expected.begin(), expected.end());
  CHECK(place.names() == expected);
  for (const auto& path : expected) target->remove(path, {});
  CHECK(place.names().empty());
}

TEMPLATE_TEST_CASE("several threads put at once", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  constexpr std::size_t k_archives = 24;
  std::vector<std::unique_ptr<Archive>> archives;
  for (std::size_t i = 0; i < k_archives; ++i)
    archives.push_back(std::make_unique<Archive>(random_bytes(300'000 + i, i)));
  const auto name_of = [](std::size_t i) { return fmt::format("builds/{}/{}.zip", i / 4, i); };
  std::mutex mutex;
  Names problems;  // Catch's assertions are for one thread
  {
    std::atomic<std::size_t> next = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < k_archives; i = next++) {
          const auto error = error_of([&] {
            target->put(archives[i]->source(), name_of(i), {});
            target->point(fmt::format("public/{}/{}.zip", i / 4, i), name_of(i), {});
          });
          const std::lock_guard lock(mutex);
          if (error) problems.push_back(error->full_text());
        }
      });
    }
  }
  CHECK(problems.empty());
  for (const auto& problem : problems) UNSCOPED_INFO(problem);
  CHECK(place.names().size() == 2 * k_archives);
  for (std::size_t i = 0; i < k_archives; ++i) {
    CHECK((place.content(name_of(i)) == archives[i]->content()));
    CHECK((place.content(fmt::format("public/{}/{}.zip", i / 4, i)) == archives[i]->content()));
  }
}

// --- links ---------------------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("a link leads to what it was pointed to last", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive one("one");
  const Archive two("the other");
  target->put(one.source(), "builds/11/1.zip", {});
  target->put(two.source(), "builds/22/2.zip", {});
  target->point(k_link, "builds/11/1.zip", {});
  CHECK(place.content(k_link) == "one");
  if (place.has_symlinks()) CHECK(place.link_text(k_link) == "../../builds/11/1.zip");
  target->point(k_link, "builds/22/2.zip", {});
  CHECK(place.content(k_link) == "the other");
  target->point(k_link, "builds/22/2.zip", {});
  CHECK(place.content(k_link) == "the other");
  CHECK(place.names() == Names{"builds/11/1.zip", "builds/22/2.zip", k_link});
}

TEMPLATE_TEST_CASE("what a switch that was killed left is no obstacle, nor is a file of the link's name", "",
                   LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  target->put(archive.source(), k_name, {});
  if (place.switch_leaves_half()) place.write(partial_link(k_link, k_name), "x");
  place.write(k_link, "a file");
  target->point(k_link, k_name, {});
  CHECK(place.content(k_link) == "content");
  CHECK(place.names() == Names{k_name, k_link});
}

TEMPLATE_TEST_CASE("a link that leads somewhere else is not taken away", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive archive("content");
  target->put(archive.source(), k_name, {});
  CHECK_FALSE(target->unpoint(k_link, k_name, {}));
  target->point(k_link, k_name, {});
  CHECK_FALSE(target->unpoint(k_link, "builds/ab/other.zip", {}));
  CHECK(place.content(k_link) == "content");
  CHECK(target->unpoint(k_link, k_name, {}));
  CHECK(place.names() == Names{k_name});
  CHECK_FALSE(target->unpoint(k_link, k_name, {}));
  place.write(k_link, "a file");
  CHECK_FALSE(target->unpoint(k_link, k_name, {}));
  CHECK(place.content(k_link) == "a file");
}

TEMPLATE_TEST_CASE("while a link is switched it leads to one archive or the other, and never to half of one", "",
                   LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive one(random_bytes(300'000, 1));
  const Archive two(random_bytes(400'000, 2));
  target->put(one.source(), "builds/1.zip", {});
  target->put(two.source(), "builds/2.zip", {});
  target->point(k_link, "builds/1.zip", {});
  std::size_t whole = 0;
  std::size_t missing = 0;
  std::size_t half = 0;
  std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto content = place.content(k_link);
      const bool right = content == one.content() || content == two.content();
      ++(!content ? missing : right ? whole : half);
    }
  });
  const auto error = error_of([&] {
    for (int i = 1; i <= 200; ++i) target->point(k_link, i % 2 == 1 ? "builds/2.zip" : "builds/1.zip", {});
  });
  reader.request_stop();
  reader.join();
  CHECK_FALSE(error);
  CAPTURE(whole, missing, half);
  CHECK(half == 0);
  CHECK(whole > 0);
  if (place.switches_in_one_step()) CHECK(missing == 0);
}

// --- removing and probing ------------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("what is removed is gone, with what an upload left of it, and nothing else", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  place.write(k_name, "content");
  place.leave_half(k_name, "con");
  place.write("builds/ab/abcdef.zip.part", "another's");
  place.write("builds/ab/abcdeg.zip", "another's");
  target->remove(k_name, {});
  CHECK(place.names() == Names{"builds/ab/abcdef.zip.part", "builds/ab/abcdeg.zip"});
  target->remove(k_name, {});
  target->remove("builds/no/folder.zip", {});
  place.leave_half(k_name, "con");
  target->remove(k_name, {});
  CHECK(place.names() == Names{"builds/ab/abcdef.zip.part", "builds/ab/abcdeg.zip"});
}

TEMPLATE_TEST_CASE("a probe leaves nothing behind", "", LocalPlace, SftpPlace, S3Place) {
  const TestType place;
  place.write(k_name, "content");
  const auto condition = place.target()->probe({});
  CHECK(condition.free_bytes.has_value() == place.tells_free_bytes());
  if (condition.free_bytes) CHECK(*condition.free_bytes > 0);
  CHECK(place.names() == Names{k_name});
}

// --- trouble -------------------------------------------------------------------------------------------------------

// Every call ends with one of these, and names the target.
void fails(Target& target, const std::vector<ErrorKind>& kinds) {
  const Archive archive("content");
  const std::vector<std::pair<std::string, std::function<void()>>> calls{
      {"put", [&] { target.put(archive.source(), "new.zip", {}); }},
      {"put below", [&] { target.put(archive.source(), k_name, {}); }},
      {"point", [&] { target.point("new_link.zip", k_name, {}); }},
      {"point below", [&] { target.point(k_link, k_name, {}); }},
      {"unpoint", [&] { target.unpoint("link.zip", k_name, {}); }},
      {"remove", [&] { target.remove("archive.zip", {}); }},
      {"probe", [&] { target.probe({}); }}};
  std::vector<std::pair<std::string, std::optional<Error>>> answers;
  for (const auto& [call, work] : calls) answers.emplace_back(call, error_of(work));
  for (const auto& [call, error] : answers) {
    INFO(call);
    CHECK(error);
    if (!error) continue;
    CHECK_THAT(error->full_text(), Contains("target backup"));
    INFO(error->full_text());
    CHECK(std::find(kinds.begin(), kinds.end(), error->kind()) != kinds.end());
  }
}

TEMPLATE_TEST_CASE("a target whose folder is not there is an error, and is not made", "", LocalPlace, SftpPlace,
                   S3Place) {
  const TestType place;
  fails(*place.target_of_nothing(), {ErrorKind::target_unreachable, ErrorKind::target_unwritable});
  CHECK(place.nothing_was_made());
}

TEMPLATE_TEST_CASE("a target that may not be written to is an error of its own, and stays as it was", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  place.write("archive.zip", "content");
  place.target()->point("link.zip", k_name, {});
  const bool tried = place.with_closed([](Target& target) { fails(target, {ErrorKind::target_unwritable}); });
  if (!tried) return;
  CHECK(place.names() == Names{"archive.zip", "link.zip"});
  CHECK(place.content("archive.zip") == "content");
}

TEMPLATE_TEST_CASE("a put that is stopped leaves nothing under the name, and can be done again", "", LocalPlace,
                   SftpPlace, S3Place) {
  const TestType place;
  const auto target = place.target();
  const Archive large = Archive::zeros(std::uint64_t{2} << 30U);  // takes longer than the stop
  std::stop_source stop;
  std::optional<Error> error;
  SECTION("before it began") {
    stop.request_stop();
    error = error_of([&] { target->put(large.source(), k_name, stop.get_token()); });
  }
  SECTION("in the middle") {
    bool begun = false;
    {
      const std::jthread stopper([&] {
        begun = test::wait_until([&] { return place.has_begun(k_name); });
        stop.request_stop();
      });
      error = error_of([&] { target->put(large.source(), k_name, stop.get_token()); });
    }
    CHECK(begun);
  }
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::stopped);
  CHECK_FALSE(place.content(k_name));
  const Archive archive(random_bytes(100'000));
  CHECK(target->put(archive.source(), k_name, {}) == 100'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_name});
}

// Takes all of a file system's space but so many bytes.
void fill_but(off_t left, const fs::path& ballast) {
  const Fd fd(::open(ballast.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  off_t size = 0;
  for (const off_t step : {off_t{16'000'000}, off_t{1'000'000}}) {
    while (::fallocate(fd.get(), 0, size, step) == 0) size += step;
  }
  REQUIRE(size > left);
  REQUIRE(::ftruncate(fd.get(), size - left) == 0);
}

// A bucket has no disk; what a full one answers is in s3_target_test.cpp.
TEMPLATE_TEST_CASE("a full disk there is an error of the target, and nothing has the name", "", LocalPlace, SftpPlace) {
  std::string why_not;
  const auto mount = test::LoopMount::make("ext4", why_not);
  if (!mount) {
    WARN("not tested: " << why_not);
    return;
  }
  const TestType place(mount->path() / "target");
  const fs::path ballast = mount->path() / "ballast";
  fill_but(8'000'000, ballast);
  const auto target = place.target();
  const Archive archive(random_bytes(40'000'000));
  const auto error = error_of([&] { target->put(archive.source(), k_name, {}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::target_unwritable);
  CHECK_THAT(error->full_text(), Contains("target backup"));
  CHECK_THAT(error->full_text(), Contains("space"));
  CHECK_FALSE(place.content(k_name));
  fs::remove(ballast);
  CHECK(target->put(archive.source(), k_name, {}) == 40'000'000);
  CHECK((place.content(k_name) == archive.content()));
  CHECK(place.names() == Names{k_name});
}

}  // namespace
}  // namespace zipmodule::storage
