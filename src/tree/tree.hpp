// The published tree: what a folder of this host that archives lie in looks like, be it the store or a target.
//
//   <root>/.zipmodule.store or .zipmodule.target    which one it is (marker.hpp)
//   <root>/tmp/<id>.zip, <id>.link                  being written or switched
//   <root>/builds/ab/<id>.zip                       immutable; 128 random bits: the name gives away neither series nor content
//   <root>/builds/ab/<id>.sources                   of the store alone: what is remembered of its sources
//   <root>/public/<series>/<archive>.zip            relative symlink to the current build, replaced by rename
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/archive_name.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "tree/access.hpp"

namespace zipmodule::tree {

// What a public name is to lead to.
struct Link {
  std::string series;
  std::string archive;
  std::string build_id;
};

// A file in builds/, as the system shows it.
struct BuildFile {
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970
};

class Tree;

// A build while it is written, in tmp/. It belongs to its maker: the destructor removes it, also after publish(), until
// keep() is called. Not thread-safe.
class Part {
 public:
  Part(Part&& other) noexcept;
  Part& operator=(Part&&) = delete;
  ~Part();

  const std::string& build_id() const noexcept { return build_id_; }
  int fd() const noexcept { return fd_.get(); }               // readable and writable
  const std::string& path() const noexcept { return path_; }  // absolute, of the file as it is named now

  // Gives the file its time where one is given, syncs and closes it, renames it to its final name and syncs that
  // folder: from then on it survives a crash. Throws store_error.
  BuildFile publish(std::optional<std::int64_t> mtime_ns = std::nullopt);
  // The file stays.
  void keep() noexcept { path_.clear(); }

 private:
  friend class Tree;
  Part(const Tree& tree, std::string build_id, std::string path, Fd fd);

  const Tree* tree_;
  std::string build_id_;
  std::string path_;
  Fd fd_;
};

// Thread-safe. Errors of all calls: store_error naming the path (disk_full, store_unwritable, open_files, io), unless
// said otherwise. Build ids and names are checked before they become paths (archive_name.hpp).
class Tree {
 public:
  explicit Tree(std::filesystem::path root, Access access = {});

  const std::filesystem::path& root() const noexcept { return root_; }
  const Access& access() const noexcept { return access_; }

  // Makes what is missing of builds/, public/ and tmp/, and gives all three the mode and group of `access`: they keep
  // out who may not read what is below them.
  void make_folders() const;

  // Replaces what an earlier attempt at this build left in tmp/.
  Part create_part(const std::string& build_id) const;

  std::filesystem::path build_file(const std::string& build_id) const { return root_ / build_path(build_id); }
  // Nullopt where there is none, or something else than a plain file: surely, for a disk in trouble throws.
  std::optional<BuildFile> find(const std::string& build_id) const;
  // The build, and what an earlier attempt left of it. No error if it is gone.
  void remove_build(const std::string& build_id) const;

  // Has the public name lead to the build, by rename, and syncs the folder. Does nothing where it leads there already.
  void switch_link(const Link& link) const;
  // The same for many, with their folders synced together. result[i]: why links[i] was not switched, or is not surely
  // on the disk; nullopt when all is well. Never throws an Error for what concerns a single link.
  std::vector<std::optional<Error>> switch_links(const std::vector<Link>& links) const;
  // The build that the public name leads to; nullopt where there is no such link, or it leads elsewhere.
  std::optional<std::string> link_target(const std::string& series, const std::string& archive) const;
  // Whether the public name leads to a build that is there and younger than `mtime_ns`: to go back would lose it.
  bool leads_to_younger(const Link& link, std::int64_t mtime_ns) const;
  // Removes the public name if it leads to this build. Returns whether it did.
  bool remove_link(const Link& link) const;

  // Removes everything in tmp/; returns how many. Only for who has the tree to himself.
  std::size_t sweep_temporaries() const;
  // Every build by its id, in no order; with `stray_suffix`, also the id of each file of that suffix whose build is
  // gone.
  void for_each_build(const std::function<void(const std::string& build_id)>& visit,
                      const std::string& stray_suffix = {}) const;
  // Every public name and the build it leads to, in no order.
  void for_each_link(const std::function<void(const Link&)>& visit) const;
  // Whether it holds no build.
  bool is_empty() const;

  // A small file at the root. Nullopt where there is none. Written in one step, and synced.
  std::optional<std::string> read_marker(const char* name) const;
  void write_marker(const char* name, const std::string& text) const;

  std::uint64_t free_bytes() const;

 private:
  friend class Part;
  // Switches without a sync; returns the folders that need one, none where the link was right already.
  std::set<std::filesystem::path> rename_link(const Link& link) const;
  void give_access(int fd, const std::string& path) const;

  const std::filesystem::path root_;
  const Access access_;
};

}  // namespace zipmodule::tree
