// Which names may stand in an archive, and how names that can't stand beside each other are told apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace zipmodule::zip {

inline constexpr std::size_t k_name_bytes_most = 65'535;  // APPNOTE 4.4.10: a 16-bit length
inline constexpr std::size_t k_name_bytes_warn = 240;     // Windows paths end at 260 characters with their folder

// What is wrong with an entry name, or nullopt: not UTF-8, control characters, backslash, leading '/', drive letter, a
// component that is empty, '.' or '..', too long. One trailing '/' marks a directory. The text reads like "is not UTF-8".
std::optional<std::string> name_problem(std::string_view name);

// What Windows can't create about this name (CON, <>:"|?*, a trailing dot or space), or nullopt.
std::optional<std::string> windows_problem(std::string_view name);

// The name with what Windows can't create replaced by '_'.
std::string portable_name(std::string_view name);

enum class OnDuplicate { rename, fail };

// Gives every entry a name of its own. Names are equal when they are after NFC and case folding (Unicode, by utf8proc):
// on macOS and Windows they would be one file. The later one becomes "name (1).ext"; a later directory that only differs
// in case from an earlier one becomes "folder (1)", with all below it. Memory: about 50 bytes a name. Not thread-safe.
class NameSet {
 public:
  explicit NameSet(OnDuplicate on_duplicate) : on_duplicate_(on_duplicate) {}

  struct Result {
    std::string name;  // under which the entry goes into the archive
    bool renamed = false;
    bool repeated = false;  // a directory that is in the archive already: leave the entry out
  };
  // `name` passed name_problem. Throws Error{name_conflict} naming it where a name is both file and directory, or where
  // it is a duplicate and OnDuplicate::fail was chosen.
  Result add(std::string_view name);

 private:
  struct Directory {
    std::string final_name;  // with its trailing '/'
    bool listed = false;     // has an entry of its own
  };
  Directory& directory(std::string_view name);
  std::string unused(std::string_view parent, std::string_view leaf, bool is_directory);
  void refuse_duplicate(std::string_view name) const;

  const OnDuplicate on_duplicate_;
  std::unordered_set<std::uint64_t> files_;        // hashes of folded final names
  std::unordered_set<std::uint64_t> directories_;  // hashes of folded final names, with '/'
  std::unordered_map<std::uint64_t, std::uint64_t> next_suffix_;
  std::unordered_map<std::string, Directory> by_original_;
  const std::string* last_parent_ = nullptr;  // memo: a folder's entries come one after the other
  Directory* last_directory_ = nullptr;
};

}  // namespace zipmodule::zip
