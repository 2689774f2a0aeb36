// A content root in a bucket: objects are files, and what their keys have before a '/' are folders.
//
// There are no empty folders, no symlinks and no executables. An object whose key ends in '/', as some programs make
// for a folder, is that folder. Where one key is "a" and another "a/b", the walk finds the file, and the folder is a
// problem: Error{name_conflict}. Keys with an empty, '.' or '..' component lead nowhere: Error{source_name}.
#pragma once

#include <memory>
#include <string>

#include "base/fetchers.hpp"
#include "storage/root.hpp"
#include "storage/s3_options.hpp"

namespace zipmodule::storage {

class S3Client;
struct S3Listed;
struct S3Object;

// A file's version is told by ETag and size, which every answer with a part of it is compared with. An overwritten
// object has another ETag whatever its time, so that it is recognised from its first second on; only where a server has
// no ETags is it its time that counts, in whole seconds of another clock. Version ids take no part: listings don't tell
// them.
class S3Root final : public Root {
 public:
  // `window_bytes`: the most that is in flight from there.
  S3Root(std::string name, S3Options options, std::uint64_t window_bytes);
  ~S3Root() override;

  // An object, or a folder where some key begins with `path` and '/'. The root itself is a folder if the bucket
  // answers.
  FileStatus status(const std::string& path, const std::stop_token& stop) const override;
  std::future<FileStatus> look_up(const std::string& path, const std::stop_token& stop) const override;
  // Asks for nothing yet.
  std::unique_ptr<File> open(const std::string& path, const FileStatus& listed,
                             const std::stop_token& stop) const override;
  // Lists the prefix in pages, so that folders need no requests of their own. WalkLimits::max_names counts all that is
  // found.
  void walk(const std::string& path, const WalkLimits& limits, const std::stop_token& stop,
            Visitor& visitor) const override;
  // "s3://bucket/key", the key as it is: nothing in it is percent-encoded.
  std::optional<std::string> path_of(const std::string& url) const override;
  Fetchers* fetchers() const noexcept override { return fetchers_.get(); }

  // Of an object that was listed.
  FileStatus status_of(const S3Listed& listed, const std::string& path) const;

 private:
  friend class S3File;

  FileStatus status_of(const S3Object& object, const std::string& path) const;

  const std::unique_ptr<S3Client> client_;
  const std::uint64_t hash_;                  // of where it is
  const std::unique_ptr<Fetchers> fetchers_;  // last: their tasks end before the rest goes
};

}  // namespace zipmodule::storage
