#include "storage/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "storage/beneath.hpp"
#include "storage/file_status.hpp"

namespace zipmodule::storage {
namespace {

std::string join(const std::string& folder, const std::string& name) {
  if (folder.empty() || name.empty()) return folder + name;
  return fmt::format("{}/{}", folder, name);
}

struct CloseDirectory {
  void operator()(DIR* p) const noexcept { ::closedir(p); }
};

}  // namespace

Folder::Folder(std::shared_ptr<const Folder> parent, std::size_t index)
    : context_(parent->context_),
      parent_(std::move(parent)),
      index_in_parent_(index),
      below_(parent_->child_below(index)) {}

bool Folder::is_folder(std::size_t index) const noexcept {
  return kind(index) == Kind::folder || kind(index) == Kind::symlink_to_folder;
}

std::string Folder::child_below(std::size_t index) const { return join(below_, name(index)); }

Fd Folder::open_it() const {
  constexpr int k_flags = O_RDONLY | O_DIRECTORY;
  const LocalRoot& root = context_.root;
  // A real folder may have become a symlink since it was listed: O_NOFOLLOW. A symlink is resolved from the root.
  if (!parent_ || parent_->kind(index_in_parent_) == Kind::symlink_to_folder)
    return root.open_path(context_.frame.path(below_), k_flags);
  Fd fd(open_beneath(parent_->fd_.get(), parent_->name(index_in_parent_), k_flags | O_NOFOLLOW, root.confinement_));
  if (!fd) throw source_error(errno, context_.frame.name(below_));
  return fd;
}

void Folder::read() {
  try {
    fd_ = open_it();
  } catch (const Error& error) {
    problem_ = error;
    return;
  }
  const LocalRoot& root = context_.root;
  const struct stat s = root.status_of(fd_.get(), context_.frame.path(below_));
  identity_ = {s.st_dev, s.st_ino};
  file_system_ = root.file_systems_.of(fd_.get(), s.st_dev);
  const bool stepped = parent_ && parent_->kind(index_in_parent_) == Kind::folder;
  if (stepped ? root.store_.is_one(fd_.get()) : root.store_.is_inside(fd_.get())) {
    throw root.in_store(context_.frame.path(below_));
  }
  if (parent_ && parent_->identity_.first != s.st_dev) root.mounts_.add(context_.frame.path(below_));
  parent_.reset();
  list();
  read_batch(0);
}

void Folder::list() {
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(::dup(fd_.get())));
  if (!directory) throw source_error(errno, context_.frame.name(below_));
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view found(entry->d_name);
    if (found != "." && found != "..") note(entry->d_name, entry->d_type);
    if (order_.size() % k_batch == 0) count_names();
    errno = 0;
  }
  if (errno != 0) throw source_error(errno, context_.frame.name(below_));
  count_names();
  // Bytewise by full path: a folder as if its name ended in '/'.
  const auto key = [this](std::uint32_t at) { return std::pair(text_.data() + at + 1, text_[at]); };
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t left, std::uint32_t right) {
    auto [a, kind_a] = key(left);
    auto [b, kind_b] = key(right);
    while (*a != '\0' && *a == *b) ++a, ++b;
    const auto end_of = [](char kind) {
      return static_cast<Kind>(kind) == Kind::folder || static_cast<Kind>(kind) == Kind::symlink_to_folder ? '/' : '\0';
    };
    return static_cast<unsigned char>(*a != '\0' ? *a : end_of(kind_a)) <
           static_cast<unsigned char>(*b != '\0' ? *b : end_of(kind_b));
  });
}

void Folder::note(const char* name, unsigned char type) {
  if (context_.frame.excludes(below_, name)) {
    ++left_out_;
    return;
  }
  if (text_.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorKind::limit, fmt::format("source {} has more than 4 GiB of names", context_.frame.name(below_)),
                "split the folder");
  }
  order_.push_back(static_cast<std::uint32_t>(text_.size()));
  text_.push_back(static_cast<char>(kind_of(name, type)));
  text_.insert(text_.end(), name, name + std::strlen(name) + 1);
}

// Asked while names are read: a folder made to exhaust the memory is refused before it does.
void Folder::count_names() {
  context_.frame.require_no_stop();
  const std::uint64_t names = order_.size() - names_counted_;
  const std::uint64_t bytes = text_.size() - bytes_counted_;
  names_counted_ += names;
  bytes_counted_ += bytes;
  context_.frame.hold(below_, names, bytes);
}

// The order needs to know what is a folder: of symlinks, and where the file system doesn't tell with the name, by
// asking.
Folder::Kind Folder::kind_of(const char* name, unsigned char type) const {
  struct stat s {};
  if (type == DT_UNKNOWN && ::fstatat(fd_.get(), name, &s, AT_SYMLINK_NOFOLLOW) == 0)
    type = static_cast<unsigned char>(IFTODT(s.st_mode));
  if (type == DT_DIR) return Kind::folder;
  if (type != DT_LNK) return Kind::file;
  try {
    const FileStatus status = context_.root.status(context_.frame.path(join(below_, name)));
    return status.type == FileType::directory ? Kind::symlink_to_folder : Kind::symlink;
  } catch (const Error&) {
    return Kind::symlink;  // told when it is visited
  }
}

FileStatus Folder::status_of(std::size_t index) const {
  struct stat s {};
  if (status_at(file_system_, fd_.get(), name(index), AT_SYMLINK_NOFOLLOW, s) != 0)
    throw source_error(errno, context_.frame.name(child_below(index)));
  FileStatus status = to_status(s);
  const bool is_symlink = status.type == FileType::symlink;
  // What another file system is mounted on may have to be asked of its host.
  const bool elsewhere = file_system_ != FileSystem::stacked && s.st_dev != identity_.first;
  if (is_symlink || (elsewhere && status.type != FileType::other))
    status = context_.root.status(context_.frame.path(child_below(index)));
  if (status.type == FileType::other) throw wrong_type(context_.frame.name(child_below(index)));
  // What has become a folder stands at a file's place in the order, and a symlink must not be opened as a folder.
  const bool listed_as_symlink = kind(index) == Kind::symlink || kind(index) == Kind::symlink_to_folder;
  if ((status.type == FileType::directory) != is_folder(index) ||
      (is_folder(index) && is_symlink != listed_as_symlink)) {
    throw Error(
        ErrorKind::source_changed,
        fmt::format("source {} became something else while it was listed", context_.frame.name(child_below(index))),
        "publish when its writer is finished");
  }
  return status;
}

void Folder::read_batch(std::size_t begin) {
  batch_.clear();
  batch_begin_ = begin;
  const std::size_t end = std::min(begin + k_batch, size());
  batch_.reserve(end - begin);
  for (std::size_t index = begin; index < end; ++index) {
    Child& child = batch_.emplace_back();
    try {
      child.status = status_of(index);
    } catch (const Error& error) {
      child.problem = std::make_unique<Error>(error);
    }
  }
}

const Folder::Child& Folder::child(std::size_t index) {
  if (index >= batch_begin_ + batch_.size()) read_batch(index);
  return batch_[index - batch_begin_];
}

}  // namespace zipmodule::storage
