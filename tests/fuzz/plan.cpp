#include "plan.hpp"

#include <algorithm>
#include <limits>

#include "content.hpp"
#include "finding.hpp"
#include "zip/names.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::MemoryEntry;

constexpr std::size_t k_entries_most = 10;
constexpr std::size_t k_content_most = 100'000;

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
    require(!zip::name_problem(portable), "a portable name may not stand in an archive");
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
    const auto octave = input.ConsumeIntegralInRange<unsigned>(0, 17);
    entry.data = make_content(input, std::min(k_content_most, std::size_t{1} << octave));
  }
  return entry;
}

// Adds the entry under a name that no other has.
bool add_named(zip::NameSet& names, MemoryEntry entry, std::vector<MemoryEntry>& entries) {
  try {
    auto named = names.add(entry.name);
    if (named.repeated) return false;
    require(!zip::name_problem(named.name), "a unique name may not stand in an archive");
    entry.name = std::move(named.name);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::name_conflict, "a name of good letters is refused");
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
  return entries;
}

NextTree make_next_tree(FuzzedDataProvider& input, const std::vector<MemoryEntry>& older) {
  NextTree next;
  zip::NameSet names(zip::OnDuplicate::rename);
  for (std::size_t i = 0; i < older.size(); ++i) {
    MemoryEntry entry = older[i];
    const auto fate = input.ConsumeIntegralInRange<int>(0, 3);
    if (fate == 0) continue;
    if (fate == 1) entry = make_entry(input);
    if (add_named(names, std::move(entry), next.entries)) {
      next.kept_from.push_back(fate == 1 ? std::nullopt : std::optional(i));
    }
  }
  for (auto i = input.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) {
    if (add_named(names, make_entry(input), next.entries)) next.kept_from.push_back(std::nullopt);
  }
  return next;
}

OlderArchive::OlderArchive(const zip::MemoryFile& file) : bytes(file.content()) {
  const auto archive = file.archive();
  records = zip::records_of(archive);
  for (const auto& record : records) data_offsets.push_back(zip::read_local_header(archive, record));
}

namespace {

// Reads a source that is no longer what it was; holds its own copy.
class TroubledReader final : public zip::EntryReader {
 public:
  TroubledReader(std::string_view planned, Trouble trouble) : data_(planned), text_(data_), trouble_(trouble) {
    if (trouble == Trouble::shrinks || trouble == Trouble::shrinks_unnoticed) data_.resize(data_.size() / 2);
    if (trouble == Trouble::grows) data_ += "more";
    if (trouble == Trouble::changes && !data_.empty()) data_[data_.size() / 2] ^= 1;
    text_ = zip::TextReader(data_);
  }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (trouble_ == Trouble::unreadable && offset + buffer.size() > data_.size() / 2) {
      throw Error(ErrorKind::source_unreadable, "bad sector");
    }
    return text_.read_at(offset, buffer);
  }
  void require_unchanged() override {
    if (trouble_ == Trouble::shrinks || trouble_ == Trouble::grows || trouble_ == Trouble::changes) {
      throw Error(ErrorKind::source_changed, "it changed");
    }
  }

 private:
  std::string data_;
  zip::TextReader text_;
  const Trouble trouble_;
};

std::optional<ErrorKind> error_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::none:
      return std::nullopt;
    case Trouble::gone:
      return ErrorKind::source_missing;
    case Trouble::unreadable:
      return ErrorKind::source_unreadable;
    case Trouble::shrinks:
    case Trouble::shrinks_unnoticed:
    case Trouble::grows:
    case Trouble::changes:
      return ErrorKind::source_changed;
    case Trouble::stops:
      return ErrorKind::stopped;
  }
  return std::nullopt;
}

}  // namespace

void TreeContent::reuse(const OlderArchive& older, const std::vector<std::optional<std::size_t>>& from) {
  older_ = &older;
  reused_ = from;
}

void TreeContent::trouble(std::size_t index, Trouble trouble) {
  const MemoryEntry& entry = entries()[index];
  if (entry.directory || troubles_[index] != Trouble::none) return;
  // Of an empty source not a byte is read.
  const bool needs_bytes = trouble == Trouble::unreadable || trouble == Trouble::shrinks_unnoticed;
  if (needs_bytes && entry.data.empty()) return;
  troubles_[index] = trouble;
  if (const auto kind = error_of(trouble)) expected_errors_.insert(*kind);
}

std::unique_ptr<zip::EntryReader> TreeContent::reader(std::size_t index, std::string_view data) {
  switch (troubles_[index]) {
    case Trouble::none:
      return std::make_unique<zip::TextReader>(data);
    case Trouble::gone:
      throw Error(ErrorKind::source_missing, "it is gone");
    case Trouble::stops:
      stop_.request_stop();
      return std::make_unique<zip::TextReader>(data);
    default:
      return std::make_unique<TroubledReader>(data, troubles_[index]);
  }
}

std::unique_ptr<zip::EntryReader> TreeContent::open(std::size_t index) {
  require(!reuses(index), "a source was opened whose data an older archive has");
  return reader(index, entries()[index].data);
}

std::optional<zip::RawData> TreeContent::raw(std::size_t index) {
  require(!entries()[index].data.empty(), "an entry without bytes was looked for in an older archive");
  if (!reuses(index)) return std::nullopt;
  const zip::CentralRecord& record = older_->records[*reused_[index]];
  const auto data =
      std::string_view(older_->bytes).substr(older_->data_offsets[*reused_[index]], record.compressed_bytes);
  return zip::RawData{reader(index, data), record.compressed_bytes, record.crc,
                      static_cast<zip::Method>(record.method)};
}

}  // namespace zipmodule::fuzz
