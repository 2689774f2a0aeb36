// Which names may stand in an archive, and how names that can't stand beside each other are told apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "zip/fingerprint_set.hpp"

namespace zipmodule::zip {

inline constexpr std::size_t k_name_bytes_most = 65'535;    // APPNOTE 4.4.10: a 16-bit length
inline constexpr std::size_t k_name_bytes_warn = 240;       // Windows paths end at 260 characters with their folder
inline constexpr std::size_t k_component_bytes_most = 255;  // of Linux' and most other file systems

// What is wrong with an entry name, or nullopt: not UTF-8, control characters, backslash, leading '/', drive letter, a
// component that is empty, '.', '..' or over 255 bytes, too long. One trailing '/' marks a directory. The text reads
// like "is not UTF-8".
std::optional<std::string> name_problem(std::string_view name);

// What Windows can't create about this name (CON, <>:"|?*, a trailing dot or space), or nullopt.
std::optional<std::string> windows_problem(std::string_view name);

// The name with what Windows can't create replaced by '_', drive letters, backslashes and control characters among it,
// so that what name_problem finds wrong with those is gone too. No component becomes longer than 255 bytes that was not
// before.
std::string portable_name(std::string_view name);

// Whether both are the same after NFC and case folding, as macOS and Windows compare names. False for what is not
// UTF-8.
bool same_to_people(std::string_view a, std::string_view b);

enum class OnDuplicate { rename, fail };

// Gives every entry a name of its own. Names are equal when they are after NFC and case folding (Unicode, by utf8proc):
// on macOS and Windows they would be one file. The later one becomes "name (1).ext"; a later directory that only
// differs in case from an earlier one becomes "folder (1)", with all below it. A component that would so become longer
// than 255 bytes is cut before its suffix, between characters. With `portable` all names are made so first, and what
// was two folders before stays two. Memory, whatever the names' length: 20 to 25 bytes a file, twice that a folder; for
// each renamed folder both its names, and about 40 bytes for each name that had duplicates. Not thread-safe.
class NameSet {
 public:
  explicit NameSet(OnDuplicate on_duplicate, bool portable = false)
      : on_duplicate_(on_duplicate), portable_(portable) {}

  struct Result {
    std::string name;  // under which the entry goes into the archive
    bool renamed = false;
    bool repeated = false;  // a directory that is in the archive already: leave the entry out
  };
  // `name` passed name_problem, or with `portable` portable_name(name) did. Throws Error{name_conflict} naming it where
  // a name is both file and directory (with `portable` that is a duplicate), or where it is a duplicate and
  // OnDuplicate::fail was chosen; Error{source_name} where the name of its own would be too long.
  Result add(std::string_view name);

 private:
  Fingerprint key(std::string_view final_name);
  const std::string& final_folder(std::string_view folder);
  std::string new_folder(std::string_view folder);
  std::string renamed_folder(std::string_view folder) const;
  std::string unused(const std::string& parent, std::string_view leaf, bool is_directory);
  void add_wanted(std::string_view leaf, std::string& to) const;
  void refuse_duplicate(std::string_view name) const;
  void refuse_file_and_folder(std::string_view name) const;

  const OnDuplicate on_duplicate_;
  const bool portable_;
  FingerprintSet taken_;    // folded final names, without the '/' of directories, which are marked
  FingerprintSet folders_;  // directories as they were added; marked: with an entry of their own
  std::unordered_map<std::string, std::string> renamed_folders_;  // as added, to their final last component
  std::unordered_map<std::uint64_t, std::uint64_t> next_suffix_;
  std::string folded_;  // kept for its memory
  // memo: a folder's entries come one after the other
  std::string last_folder_;
  std::string last_final_;
};

}  // namespace zipmodule::zip
