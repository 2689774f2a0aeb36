// The places that targets deliver to, looked at from the other side, and archives for them.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/archive_name.hpp"
#include "base/fd.hpp"
#include "storage/local_target.hpp"
#include "storage/remote.hpp"
#include "storage/s3_client.hpp"
#include "storage/s3_target.hpp"
#include "storage/sftp_target.hpp"
#include "support/catch.hpp"
#include "support/ssh_server.hpp"
#include "support/strict_s3.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "tree/marker.hpp"

namespace zipmodule::storage {

inline const std::string k_marker = tree::k_target_marker;
inline const std::string k_ours = to_text(tree::TargetMarker{std::string(32, 'a'), std::string(32, 'd')});
inline const std::string k_anothers = to_text(tree::TargetMarker{std::string(32, 'b'), std::string(32, 'd')});

// Where a target named "backup" delivers to. Another kind of target is held to all of the promises by one more class of this
// kind in the lists of the test cases.
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

  // A target that does not know its place yet, and one that does: the marker is written where there is none.
  virtual std::unique_ptr<Target> stranger(mode_t mode = 0644) const = 0;
  std::unique_ptr<Target> target(mode_t mode = 0644) const {
    if (content(k_marker) != k_ours) write(k_marker, k_ours);
    return expecting(stranger(mode));
  }
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
  // Puts this there, or takes it away, as somebody else would.
  virtual void write(const std::string& path, const std::string& content) const = 0;
  virtual void take_away(const std::string& path) const = 0;
  virtual void make_folder(const std::string& path) const = 0;
  // Leaves what an upload of the build, or a switch of that link, leaves that was killed.
  virtual void leave_half(const std::string& build_id, const std::string& content) const = 0;
  virtual void leave_half_switch(const tree::Link& /*link*/) const {}
  // Whether bytes of an upload of the build that has not ended have arrived.
  virtual bool has_begun(const std::string& build_id) const = 0;

 protected:
  static std::unique_ptr<Target> expecting(std::unique_ptr<Target> target) {
    target->expect(k_ours);
    return target;
  }
};

// A folder of this host, whoever serves it.
class FolderPlace : public Place {
 public:
  FolderPlace() { std::filesystem::create_directory(folder_); }
  explicit FolderPlace(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
  }

  std::optional<std::string> content(const std::string& path) const override {
    std::ifstream file(folder_ / path, std::ios::binary);
    if (!file || std::filesystem::is_directory(folder_ / path)) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (!entry.is_directory() || entry.is_symlink())
        found.push_back(entry.path().lexically_relative(folder_).string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string link_text(const std::string& link) const override {
    return std::filesystem::read_symlink(folder_ / link).string();
  }
  void write(const std::string& path, const std::string& content) const override {
    test::write_file(folder_ / path, content);
  }
  void take_away(const std::string& path) const override { std::filesystem::remove(folder_ / path); }
  void make_folder(const std::string& path) const override { std::filesystem::create_directories(folder_ / path); }
  void leave_half(const std::string& build_id, const std::string& content) const override {
    write(half_of(build_id), content);
  }
  bool has_begun(const std::string& build_id) const override {
    std::error_code error;
    const auto size = std::filesystem::file_size(folder_ / half_of(build_id), error);
    return !error && size > 0;
  }
  bool nothing_was_made() const override { return !std::filesystem::exists(missing()); }

  std::filesystem::path folder() const { return folder_; }

 protected:
  virtual std::string half_of(const std::string& build_id) const = 0;
  std::filesystem::path missing() const { return dir_ / "not mounted"; }
  // Others than its user may look at what is in it.
  void open_the_way() const { std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755)); }

  test::TempDir dir_{"target"};

 private:
  std::filesystem::path folder_ = dir_ / "target";
};

class LocalPlace final : public FolderPlace {
 public:
  using FolderPlace::FolderPlace;

  bool switches_in_one_step() const override { return true; }
  std::unique_ptr<Target> stranger(mode_t mode = 0644) const override {
    return std::make_unique<LocalTarget>("backup", folder(), tree::Access{mode});
  }
  std::unique_ptr<Target> target_of_nothing() const override {
    return expecting(std::make_unique<LocalTarget>("backup", missing()));
  }
  // In a thread that is nobody.
  bool with_closed(const std::function<void(Target&)>& work) const override {
    if (::getuid() != 0) {
      WARN("not tested: only root can become another user");
      return false;
    }
    open_the_way();
    constexpr uid_t k_nobody = 65'534;
    std::atomic<bool> dropped = false;
    // The system calls themselves concern one thread; the library's functions all of them.
    std::jthread([&] {
      dropped = ::syscall(SYS_setresuid, k_nobody, k_nobody, k_nobody) == 0;
      if (dropped) work(*expecting(stranger()));
    }).join();
    REQUIRE(dropped);
    return true;
  }
  void leave_half_switch(const tree::Link& link) const override { write("tmp/" + link.build_id + ".link", "x"); }

 protected:
  std::string half_of(const std::string& build_id) const override { return "tmp/" + build_id + ".zip"; }
};

class SftpPlace final : public FolderPlace {
 public:
  using FolderPlace::FolderPlace;

  bool switches_in_one_step() const override { return false; }  // libssh2 before 1.11 can't
  std::unique_ptr<Target> stranger(mode_t mode = 0644) const override { return to(folder(), server_.user(), mode); }
  std::unique_ptr<Target> target_of_nothing() const override { return expecting(to(missing(), server_.user(), 0644)); }
  bool with_closed(const std::function<void(Target&)>& work) const override {
    if (::getuid() != 0) {
      WARN("not tested: only root's sshd lets others log in");
      return false;
    }
    open_the_way();
    std::filesystem::permissions(server_.known_hosts().parent_path(), std::filesystem::perms(0755));
    work(*expecting(to(folder(), "nobody", 0644)));
    return true;
  }
  void leave_half_switch(const tree::Link& link) const override {
    write(partial_link(public_path(link.series, link.archive), build_path(link.build_id)), "x");
  }

 protected:
  std::string half_of(const std::string& build_id) const override { return partial_name(build_path(build_id)); }

 private:
  std::unique_ptr<Target> to(const std::filesystem::path& folder, const std::string& user, mode_t mode) const {
    SftpOptions options;
    options.host = test::SshServer::host();
    options.port = server_.port();
    options.user = user;
    options.key = server_.key();
    options.known_hosts = {server_.known_hosts()};
    options.sessions = 3;
    return std::make_unique<SftpTarget>("backup", options, folder.string(), false, mode);
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

  std::unique_ptr<Target> stranger(mode_t /*mode*/ = 0644) const override { return to(options_); }
  std::unique_ptr<Target> target_of_nothing() const override {
    S3Options options = options_;
    options.bucket = "nothing";
    return expecting(to(options));
  }
  bool nothing_was_made() const override { return names().empty(); }
  bool with_closed(const std::function<void(Target&)>& work) const override {
    S3Options options = options_;
    options.profile = "reader";
    work(*expecting(to(options)));
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
    for (const auto& entry : std::filesystem::recursive_directory_iterator(objects_)) {
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
  void write(const std::string& path, const std::string& content) const override {
    test::write_file(root() / path, content);
  }
  void take_away(const std::string& path) const override { std::filesystem::remove(root() / path); }
  void make_folder(const std::string& /*path*/) const override {}
  // Even one without a part.
  void leave_half(const std::string& build_id, const std::string& content) const override {
    S3Client client(options_);
    const std::string key = client.key_of(build_path(build_id));
    const std::string id = client.create_upload(key, {}, "x", {});
    if (content.empty()) return;
    const HttpBody body{content, -1, 0, 0};
    client.put_part(key, id, 1, body, digest_of(body, "x"), "x", {});
  }
  bool has_begun(const std::string& build_id) const override {
    const std::string key = options_.prefix + "/" + build_path(build_id);
    return server_.uploads().find(" " + key + "\n") != std::string::npos &&
           server_.requests("UploadPart '" + key + "'") > 0;
  }

 private:
  static std::unique_ptr<Target> to(const S3Options& options) { return std::make_unique<S3Target>("backup", options); }
  std::filesystem::path root() const { return objects_ / options_.prefix; }
  std::optional<std::string> object(const std::string& path) const {
    std::ifstream file(root() / path, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  test::TempDir dir_{"bucket"};
  std::filesystem::path objects_ = dir_ / "objects";
  test::StrictS3 server_{objects_};
  S3Options options_;
};

// A finished archive of this host.
class Archive {
 public:
  static constexpr std::int64_t k_mtime_ns = 1'600'000'001'500'000'000;

  explicit Archive(std::string content) : content_(std::move(content)), size_(content_.size()) {
    test::write_file(dir_ / "archive", content_);
    open();
  }
  // So many zeros that take no space here.
  static Archive zeros(std::uint64_t size) { return Archive(size); }

  const std::string& content() const { return content_; }
  LocalSource source() const { return {fd_.get(), size_, k_mtime_ns}; }

 private:
  explicit Archive(std::uint64_t size) : size_(size) {
    test::write_file(dir_ / "archive", "");
    std::filesystem::resize_file(dir_ / "archive", size);
    open();
  }
  void open() { fd_ = Fd(::open((dir_ / "archive").c_str(), O_RDONLY | O_CLOEXEC)); }

  test::TempDir dir_{"archive"};
  std::string content_;
  std::uint64_t size_;
  Fd fd_;
};

}  // namespace zipmodule::storage
