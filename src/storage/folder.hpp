// One folder of a walk: its names in order, and what is known of some of them at a time. Private to src/storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "storage/local_root.hpp"
#include "storage/walk_frame.hpp"

namespace zipmodule::storage {

// What all folders of one walk share. Thread-safe.
struct WalkContext {
  const LocalRoot& root;
  WalkFrame& frame;
};

// Memory: its names and 6 bytes each, and the status of 1,024 of them. Used by one thread at a time.
class Folder {
 public:
  static constexpr std::size_t k_batch = 1'024;

  // The folder where the walk begins, or what `index` of `parent` is. Touches nothing yet.
  explicit Folder(const WalkContext& context) : context_(context) {}
  Folder(std::shared_ptr<const Folder> parent, std::size_t index);
  ~Folder() { context_.frame.release(names_counted_, bytes_counted_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // Opens it, reads and sorts its names, and the status of the first batch. What is wrong with the folder itself, which
  // the visitor is to be told, is in problem() afterwards. Throws what ends the walk: Error{limit} as soon as there are
  // more names than the walk may hold, Error{source_outside} in the store, Error{stopped}, what readdir says.
  void read();
  const std::optional<Error>& problem() const noexcept { return problem_; }

  const std::string& below() const noexcept { return below_; }
  const std::pair<std::uint64_t, std::uint64_t>& identity() const noexcept { return identity_; }  // device, inode

  std::size_t size() const noexcept { return order_.size(); }
  bool is_folder(std::size_t index) const noexcept;  // as it was listed
  std::string child_below(std::size_t index) const;
  std::uint64_t left_out() const noexcept { return left_out_; }  // excluded names

  struct Child {
    FileStatus status;
    std::unique_ptr<Error> problem;  // why there is no status
  };
  // In ascending order only: reads the next batch where the index has left the last.
  const Child& child(std::size_t index);

 private:
  enum class Kind : char { file = 'f', folder = 'd', symlink = 'l', symlink_to_folder = 'D' };

  Fd open_it() const;
  void list();
  void note(const char* name, unsigned char type);
  void count_names();
  Kind kind_of(const char* name, unsigned char type) const;
  void read_batch(std::size_t begin);
  FileStatus status_of(std::size_t index) const;
  const char* name(std::size_t index) const noexcept { return text_.data() + order_[index] + 1; }
  Kind kind(std::size_t index) const noexcept { return static_cast<Kind>(text_[order_[index]]); }

  const WalkContext& context_;
  std::shared_ptr<const Folder> parent_;  // until it is open
  std::size_t index_in_parent_ = 0;
  std::string below_;  // the walked folder

  Fd fd_;
  std::optional<Error> problem_;
  std::pair<std::uint64_t, std::uint64_t> identity_;
  FileSystem file_system_ = FileSystem::disk;
  std::vector<char> text_;            // of each name its kind, the name, NUL
  std::vector<std::uint32_t> order_;  // places in text_, sorted
  std::uint64_t names_counted_ = 0;   // held in the frame
  std::uint64_t bytes_counted_ = 0;
  std::uint64_t left_out_ = 0;
  std::vector<Child> batch_;
  std::size_t batch_begin_ = 0;
};

}  // namespace zipmodule::storage
