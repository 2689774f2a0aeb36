#include "plan.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>

#include "base/error.hpp"
#include "content.hpp"
#include "finding.hpp"
#include "zip/names.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::MemoryEntry;

constexpr std::size_t k_entries_most = 10;
// Stored data is aligned from 128 KiB on.
constexpr std::size_t k_content_most = 140'000;

std::string make_component(FuzzedDataProvider& input) {
  static const std::string k_components[] = {"a",
                                             "A",
                                             "b",
                                             "readme.txt",
                                             "CON",
                                             "x.",
                                             " ",
                                             "..a",
                                             "\u00e9.jpg",
                                             "\u65e5\u672c",
                                             "\U0001f642.png",
                                             "stra\u00dfe",
                                             std::string(300, 'n')};
  // Rare: such a name costs as much as all the others.
  if (input.ConsumeIntegralInRange<int>(0, 99) == 1) return std::string(65'530, 'n');
  if (input.ConsumeBool()) return input.PickValueInArray(k_components);
  return input.ConsumeRandomLengthString(12);
}

std::string make_name(FuzzedDataProvider& input, bool directory) {
  std::string name;
  for (auto depth = input.ConsumeIntegralInRange<int>(0, 3); depth >= 0; --depth) {
    name += make_component(input);
    if (depth > 0 || directory) name += '/';
  }
  if (!zip::name_problem(name) && name.ends_with('/') == directory) {
    const std::string portable = zip::portable_name(name);
    require(!zip::windows_problem(portable), "a portable name is one that Windows can't create");
    require(portable.size() > zip::k_name_bytes_most || !zip::name_problem(portable),
            "a portable name may not stand in an archive");
    return name;
  }
  return directory ? "plain/" : "plain";
}

zip::TimeNs make_time(FuzzedDataProvider& input) {
  constexpr zip::TimeNs k_second = 1'000'000'000;
  switch (input.ConsumeIntegralInRange<int>(0, 3)) {
    case 0:
      return zip::k_mtime;
    case 1:
      return input.ConsumeIntegral<zip::TimeNs>();
    case 2:  // around where 32 bits end
      return ((std::int64_t{1} << 31) + input.ConsumeIntegral<std::int8_t>()) * k_second;
    default:
      return input.ConsumeIntegral<std::int32_t>() * k_second;
  }
}

MemoryEntry make_entry(FuzzedDataProvider& input) {
  MemoryEntry entry;
  entry.directory = input.ConsumeIntegralInRange<int>(0, 7) == 0;
  entry.name = make_name(input, entry.directory);
  entry.mtime = make_time(input);
  entry.executable = !entry.directory && input.ConsumeBool();
  if (!entry.directory) {
    const auto octave = input.ConsumeIntegralInRange<unsigned>(0, 18);
    entry.data = make_content(input, std::min(k_content_most, std::size_t{1} << octave));
  }
  return entry;
}

// As Windows and macOS compare names.
std::string folded(std::string_view name) {
  if (name.ends_with('/')) name.remove_suffix(1);
  utf8proc_uint8_t* out = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), static_cast<utf8proc_ssize_t>(name.size()),
                   &out, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
  require(size >= 0, "a name can't be folded");
  std::string result(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  std::free(out);
  return result;
}

// No two entries and no two folders would be one file elsewhere, listed or not, and no file is a folder.
void require_distinct(const std::vector<MemoryEntry>& entries) {
  std::set<std::string> seen;
  std::map<std::string, std::string> folders;  // folded, as spelled
  for (const auto& entry : entries) {
    require(seen.insert(folded(entry.name)).second, "two entries have one name");
    for (auto slash = entry.name.find('/'); slash != std::string::npos; slash = entry.name.find('/', slash + 1)) {
      const std::string folder = entry.name.substr(0, slash);
      require(folders.emplace(folded(folder), folder).first->second == folder, "one folder is spelled in two ways");
    }
  }
  for (const auto& entry : entries) {
    require(entry.directory || !folders.contains(folded(entry.name)), "a name is both a file and a folder");
  }
}

// Adds the entry under a name that no other has.
bool add_named(zip::NameSet& names, MemoryEntry entry, std::vector<MemoryEntry>& entries) {
  try {
    auto named = names.add(entry.name);
    if (named.repeated) return false;
    require(!zip::name_problem(named.name), "a unique name may not stand in an archive");
    entry.name = std::move(named.name);
  } catch (const Error& error) {
    const bool too_long = error.kind() == ErrorKind::source_name && entry.name.size() > 65'000;
    require(error.kind() == ErrorKind::name_conflict || too_long, "a name of good letters is refused");
    return false;
  }
  entries.push_back(std::move(entry));
  return true;
}

}  // namespace

std::vector<MemoryEntry> make_tree(FuzzedDataProvider& input) {
  std::vector<MemoryEntry> entries;
  zip::NameSet names(zip::OnDuplicate::rename);
  for (auto i = input.ConsumeIntegralInRange<std::size_t>(0, k_entries_most); i > 0; --i) {
    add_named(names, make_entry(input), entries);
  }
  require_distinct(entries);
  return entries;
}

NextTree make_next_tree(FuzzedDataProvider& input, const std::vector<MemoryEntry>& older) {
  NextTree next;
  zip::NameSet names(zip::OnDuplicate::rename);
  for (std::size_t i = 0; i < older.size(); ++i) {
    MemoryEntry entry = older[i];
    enum class Fate { gone, replaced, touched, renamed, kept, kept_too, kMaxValue = kept_too };
    const auto fate = input.ConsumeEnum<Fate>();
    if (fate == Fate::gone) continue;
    if (fate == Fate::replaced) entry = make_entry(input);
    if (fate == Fate::touched) entry.mtime = make_time(input);
    if (fate == Fate::renamed) entry.name = make_name(input, entry.directory);
    if (add_named(names, std::move(entry), next.entries)) {
      next.kept_from.push_back(fate == Fate::replaced ? std::nullopt : std::optional(i));
    }
  }
  for (auto i = input.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) {
    if (add_named(names, make_entry(input), next.entries)) next.kept_from.push_back(std::nullopt);
  }
  require_distinct(next.entries);
  return next;
}

}  // namespace zipmodule::fuzz
